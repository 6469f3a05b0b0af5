import { describe, expect, it } from 'vitest';
import { readHost } from '../../src/machine/host.js';
import { type StandIn, standIn } from './stand-in.js';

const GIB = 2 ** 30;
const MIB = 2 ** 20;

const memory = async (given: StandIn) => (await readHost(standIn(given))).memory;
const cpu = async (given: StandIn) => (await readHost(standIn(given))).cpu;

const V2_MOUNT =
  '29 23 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n';
const V1_MOUNT = '35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n';

describe('memory without a container', () => {
  it("is the host's, where nothing limits it", async () => {
    expect(await memory({})).toEqual({
      totalBytes: 64 * GIB,
      limitBytes: 64 * GIB,
      availableBytes: 48 * GIB,
      limitedBy: 'host',
      limitPath: null,
    });
  });

  it('is read on a kernel without MemAvailable', async () => {
    const files = { '/proc/meminfo': 'MemTotal: 1048576 kB\nMemFree: 262144 kB\nBuffers: 1024 kB\nCached: 524288 kB\n' };
    expect((await memory({ files })).availableBytes).toBe((262144 + 1024 + 524288) * 1024);
  });

  it("takes the runtime's limit where nothing else tells", async () => {
    const found = await memory({ platform: 'darwin', runtime: { constrainedMemory: 2 * GIB } });
    expect(found).toMatchObject({ limitBytes: 2 * GIB, availableBytes: 2 * GIB, limitedBy: 'runtime', limitPath: null });
  });

  it('does not take a soft limit that Node reads for a hard one', async () => {
    const files = {
      '/proc/self/cgroup': '4:memory:/\n',
      '/proc/self/mountinfo': V1_MOUNT,
      '/sys/fs/cgroup/memory/memory.soft_limit_in_bytes': `${GIB}\n`,
    };
    expect(await memory({ files, runtime: { constrainedMemory: GIB } })).toMatchObject({ limitBytes: 64 * GIB, limitedBy: 'host' });
  });
});

describe('memory under cgroup v2', () => {
  const tree = (files: Record<string, string>, path = '/user.slice/job.scope') => ({
    files: { '/proc/self/cgroup': `0::${path}\n`, '/proc/self/mountinfo': V2_MOUNT, ...files },
  });
  const job = '/sys/fs/cgroup/user.slice/job.scope';

  it("is the limit of the process's own cgroup", async () => {
    const files = {
      [`${job}/memory.max`]: `${4 * GIB}\n`,
      [`${job}/memory.current`]: `${3 * GIB}\n`,
      [`${job}/memory.stat`]: `anon 1\ninactive_file ${GIB}\n`,
    };
    expect(await memory(tree(files))).toEqual({
      totalBytes: 64 * GIB,
      limitBytes: 4 * GIB,
      availableBytes: 2 * GIB,
      limitedBy: 'cgroup-v2',
      limitPath: `${job}/memory.max`,
    });
  });

  it('is the tightest of all ancestors', async () => {
    const files = {
      [`${job}/memory.max`]: 'max\n',
      '/sys/fs/cgroup/user.slice/memory.max': `${8 * GIB}\n`,
      '/sys/fs/cgroup/user.slice/memory.current': `${7 * GIB}\n`,
      [`${job}/memory.current`]: `${GIB}\n`,
    };
    expect(await memory(tree(files))).toMatchObject({
      limitBytes: 8 * GIB,
      availableBytes: GIB,
      limitPath: '/sys/fs/cgroup/user.slice/memory.max',
    });
  });

  it('counts what others use under a wider ancestor', async () => {
    const files = {
      [`${job}/memory.max`]: `${8 * GIB}\n`,
      [`${job}/memory.current`]: '0\n',
      '/sys/fs/cgroup/user.slice/memory.max': `${16 * GIB}\n`,
      '/sys/fs/cgroup/user.slice/memory.current': `${15 * GIB}\n`,
    };
    expect(await memory(tree(files))).toMatchObject({ limitBytes: 8 * GIB, availableBytes: GIB, limitPath: `${job}/memory.max` });
  });

  it('heeds memory.high, which throttles what memory.max would kill', async () => {
    const files = { [`${job}/memory.max`]: `${8 * GIB}\n`, [`${job}/memory.high`]: `${6 * GIB}\n`, [`${job}/memory.current`]: '0\n' };
    expect(await memory(tree(files))).toMatchObject({ limitBytes: 6 * GIB, availableBytes: 6 * GIB, limitPath: `${job}/memory.high` });
  });

  it('is found at the mount point in a container whose namespace hides the path', async () => {
    const files = { '/sys/fs/cgroup/memory.max': `${2 * GIB}\n`, '/sys/fs/cgroup/memory.current': `${GIB}\n` };
    expect(await memory(tree(files, '/'))).toMatchObject({ limitBytes: 2 * GIB, availableBytes: GIB });
    expect(await memory(tree(files, '/../../elsewhere'))).toMatchObject({ limitBytes: 2 * GIB });
    expect(await memory(tree(files, '/kubepods/pod1/container1'))).toMatchObject({ limitBytes: 2 * GIB });
  });

  it("does not bind above the host's size, and never leaves less than nothing", async () => {
    const wide = { [`${job}/memory.max`]: `${512 * GIB}\n`, [`${job}/memory.current`]: `${GIB}\n` };
    expect(await memory(tree(wide))).toMatchObject({ limitBytes: 64 * GIB, limitedBy: 'host', availableBytes: 48 * GIB });
    const full = { [`${job}/memory.max`]: `${GIB}\n`, [`${job}/memory.current`]: `${2 * GIB}\n` };
    expect((await memory(tree(full))).availableBytes).toBe(0);
  });
});

describe('memory under cgroup v1', () => {
  const tree = (files: Record<string, string>, path = '/jobs/7', mount = V1_MOUNT) => ({
    files: { '/proc/self/cgroup': `5:devices:/\n4:memory:${path}\n1:name=systemd:/\n`, '/proc/self/mountinfo': mount, ...files },
  });
  const job = '/sys/fs/cgroup/memory/jobs/7';

  it("is the limit of the process's own cgroup, less what it uses and cannot drop", async () => {
    const files = {
      [`${job}/memory.limit_in_bytes`]: `${4 * GIB}\n`,
      [`${job}/memory.usage_in_bytes`]: `${3 * GIB}\n`,
      [`${job}/memory.stat`]: `total_inactive_file ${512 * MIB}\nhierarchical_memory_limit ${4 * GIB}\n`,
    };
    expect(await memory(tree(files))).toEqual({
      totalBytes: 64 * GIB,
      limitBytes: 4 * GIB,
      availableBytes: 1536 * MIB,
      limitedBy: 'cgroup-v1',
      limitPath: `${job}/memory.limit_in_bytes`,
    });
  });

  it('has none where the kernel prints its largest number', async () => {
    const files = {
      [`${job}/memory.limit_in_bytes`]: '9223372036854771712\n',
      [`${job}/memory.stat`]: 'hierarchical_memory_limit 9223372036854771712\n',
    };
    expect(await memory(tree(files))).toMatchObject({ limitedBy: 'host', limitPath: null });
  });

  it('binds through an ancestor, unless the old mode does not count children', async () => {
    const parent = (hierarchy: string) => ({
      '/sys/fs/cgroup/memory/jobs/memory.limit_in_bytes': `${2 * GIB}\n`,
      '/sys/fs/cgroup/memory/jobs/memory.use_hierarchy': `${hierarchy}\n`,
    });
    expect(await memory(tree(parent('1')))).toMatchObject({
      limitBytes: 2 * GIB,
      limitPath: '/sys/fs/cgroup/memory/jobs/memory.limit_in_bytes',
    });
    expect(await memory(tree(parent('0')))).toMatchObject({ limitedBy: 'host' });
  });

  it("names the ancestor's own file, not the statistics that repeat it", async () => {
    const files = {
      [`${job}/memory.limit_in_bytes`]: '9223372036854771712\n',
      [`${job}/memory.stat`]: `hierarchical_memory_limit ${2 * GIB}\n`,
      '/sys/fs/cgroup/memory/jobs/memory.limit_in_bytes': `${2 * GIB}\n`,
      '/sys/fs/cgroup/memory/jobs/memory.usage_in_bytes': `${GIB}\n`,
      '/sys/fs/cgroup/memory/jobs/memory.use_hierarchy': '1\n',
    };
    expect(await memory(tree(files))).toMatchObject({ availableBytes: GIB, limitPath: '/sys/fs/cgroup/memory/jobs/memory.limit_in_bytes' });
  });

  it('is known from hierarchical_memory_limit when a container hides the ancestor', async () => {
    const mount = '396 394 0:21 /kubepods/pod1/c1 /sys/fs/cgroup/memory ro,nosuid,nodev,noexec,relatime - cgroup cgroup rw,memory\n';
    const files = {
      '/sys/fs/cgroup/memory/memory.limit_in_bytes': '9223372036854771712\n',
      '/sys/fs/cgroup/memory/memory.stat': `hierarchical_memory_limit ${GIB}\n`,
    };
    expect(await memory(tree(files, '/kubepods/pod1/c1', mount))).toMatchObject({
      limitBytes: GIB,
      limitedBy: 'cgroup-v1',
      limitPath: '/sys/fs/cgroup/memory/memory.stat',
    });
  });
});

describe('memory under both at once', () => {
  it("is the tighter one's", async () => {
    const hybrid = `${V1_MOUNT}41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n`;
    const files = {
      '/proc/self/cgroup': '4:memory:/a\n0::/b\n',
      '/proc/self/mountinfo': hybrid,
      '/sys/fs/cgroup/memory/a/memory.limit_in_bytes': `${8 * GIB}\n`,
      '/sys/fs/cgroup/unified/b/memory.max': `${2 * GIB}\n`,
    };
    expect(await memory({ files })).toMatchObject({ limitBytes: 2 * GIB, limitedBy: 'cgroup-v2' });
    const roomier = { ...files, '/sys/fs/cgroup/unified/b/memory.max': `${16 * GIB}\n` };
    expect(await memory({ files: roomier })).toMatchObject({ limitBytes: 8 * GIB, limitedBy: 'cgroup-v1' });
  });

  it('reads a mount point with a blank in its name', async () => {
    const files = {
      '/proc/self/cgroup': '0::/\n',
      '/proc/self/mountinfo': '29 23 0:26 / /sys/fs/my\\040cgroup rw - cgroup2 cgroup2 rw\n',
      '/sys/fs/my cgroup/memory.max': `${GIB}\n`,
    };
    expect((await memory({ files })).limitBytes).toBe(GIB);
  });
});

describe('cores', () => {
  const quota = (value: string) => ({
    '/proc/self/cgroup': '0::/job\n',
    '/proc/self/mountinfo': V2_MOUNT,
    '/sys/fs/cgroup/job/cpu.max': value,
  });
  const allowed = (list: string) => ({ '/proc/self/status': `Name:\tnode\nCpus_allowed:\tff\nCpus_allowed_list:\t${list}\n` });

  it('are all of them without a limit', async () => {
    expect(await cpu({ files: allowed('0-7') })).toEqual({
      model: 'AMD EPYC 7763',
      physicalCores: 4,
      logicalCores: 8,
      usableCores: 8,
      coresLimitedBy: 'host',
      quotaCores: null,
    });
  });

  it('are those of the CPU affinity', async () => {
    expect(await cpu({ files: allowed('0,2-3,6') })).toMatchObject({ usableCores: 4, coresLimitedBy: 'affinity' });
  });

  it.each([
    ['150000 100000', 1, 1.5],
    ['400000 100000', 4, 4],
    ['20000 100000', 1, 0.2],
    ['max 100000', 8, null],
  ])('are the whole ones of a quota of %s', async (value, usableCores, quotaCores) => {
    expect(await cpu({ files: { ...allowed('0-7'), ...quota(value) } })).toMatchObject({ usableCores, quotaCores });
  });

  it('are the fewer of affinity and quota, v1 as v2', async () => {
    const files = {
      ...allowed('0-1'),
      '/proc/self/cgroup': '3:cpu,cpuacct:/job\n',
      '/proc/self/mountinfo': '33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct\n',
      '/sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us': '300000\n',
      '/sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us': '100000\n',
    };
    expect(await cpu({ files })).toMatchObject({ usableCores: 2, coresLimitedBy: 'affinity', quotaCores: 3 });
    expect(await cpu({ files: { ...files, ...allowed('0-7') } })).toMatchObject({ usableCores: 3, coresLimitedBy: 'cgroup-v1' });
    const none = { ...files, '/sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us': '-1\n' };
    expect(await cpu({ files: none })).toMatchObject({ usableCores: 2, quotaCores: null });
  });
});
