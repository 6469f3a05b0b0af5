/** The house's picture as rules: dependencies point one way, most rooms are pure, and each foreign package has one door. */

/** From the top of the house down; rooms of one row do not know each other. */
const ROWS = [['commands'], ['output'], ['plan'], ['probe', 'speed', 'memory'], ['trace'], ['model', 'machine']];

const room = (names) => `^src/(?:${names.join('|')})/`;

const oneWay = ROWS.flatMap((row, index) =>
  row.map((name) => ({
    name: `one-way-${name}`,
    comment: `${name} knows only the rows below it: ${ROWS.map((names) => names.join(', ')).join(' -> ')} -> setup, units, errors`,
    severity: 'error',
    from: { path: room([name]) },
    to: { path: room([...ROWS.slice(0, index).flat(), ...row.filter((sibling) => sibling !== name)]) },
  })),
);

const doors = [
  { packages: ['@oclif', 'ora', 'cli-table3'], rooms: ['commands', 'output'] },
  { packages: ['systeminformation'], rooms: ['machine'] },
];

/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [
    ...oneWay,
    {
      name: 'ground-floor',
      comment: 'setup, units and errors know nothing above them',
      severity: 'error',
      from: { path: '^src/[^/]+$' },
      to: { path: '^src/[^/]+/' },
    },
    {
      name: 'plan-takes-data',
      comment: 'plan takes what probe measured as data, so it imports types alone',
      severity: 'error',
      from: { path: room(['plan']) },
      to: { path: room(['probe']), dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'pure',
      comment: 'no files, processes, clocks or randomness: the same input gives the same answer; model/open.ts alone reads the disk',
      severity: 'error',
      from: { path: room(['trace', 'memory', 'speed', 'plan', 'model']), pathNot: '^src/model/open\\.ts$' },
      to: { dependencyTypes: ['core'] },
    },
    ...doors.map(({ packages, rooms }) => ({
      name: `door-${packages[0]}`,
      comment: `only ${rooms.join(' and ')} know ${packages.join(', ')}`,
      severity: 'error',
      from: { path: '^src/', pathNot: room(rooms) },
      to: { path: `(?:^|/)node_modules/(?:${packages.join('|')})/` },
    })),
    {
      name: 'tensorflow-in-a-child',
      comment: 'the parent forks the tfjs child and never loads TensorFlow',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/probe/engines/tfjs/' },
      to: { path: '@tensorflow' },
    },
    {
      name: 'no-circles',
      comment: 'two files that need each other to run are one; types may refer to each other',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'all-resolve',
      comment: 'an import that cannot be found',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true, pathNot: '@tensorflow' },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'types', 'node', 'default'] },
  },
};
