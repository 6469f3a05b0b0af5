"""Writes the fixtures of graphs.test.ts: what the real modules of torchvision, timm and transformers do, operator by operator.

usage: python test/model/reference.py [NAME ...]   (all cases without names; needs torch, torchvision, timm, transformers)

Each case is exported in training mode on the meta device with fixed sizes (batch 3, sequence 11). One node a line:
[operator, arguments, keyword arguments, module path]; "%n" is the n-th node's output ("%n.k" its k-th), "%name" an input,
parameter or buffer. Left out are nodes that do nothing: metadata checks, casts and slices that return their input,
and a batch norm's count of batches. Transformers are exported in bfloat16, which is written "model": a cast to it is a cast to
the weights' dtype.
"""
import gzip
import json
import math
import pathlib
import sys

import torch
import torch.nn.functional as F

BATCH, LENGTH = 3, 11
FOLDER = pathlib.Path(__file__).parent / 'fixtures'
CASES = json.loads((FOLDER / 'cases.json').read_text())


def build_vision(case):
    if case['library'] == 'timm':
        import timm
        module = timm.create_model(case['model'])
    else:
        import torchvision
        module = getattr(torchvision.models, case['model'])()

    class Wrapped(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.m = module

        def forward(self, image, labels):
            return F.cross_entropy(self.m(image), labels)

    return Wrapped(), (torch.zeros(BATCH, 3, 224, 224), torch.zeros(BATCH, dtype=torch.long)), ['image', 'labels']


def build_transformer(case):
    import transformers.integrations.sdpa_attention as sdpa
    import transformers.masking_utils as masks
    from transformers import AutoConfig
    import transformers
    # An export is not what is asked for: the code is to run as it does in a training loop.
    masks.is_tracing = lambda *a: False
    masks.is_torchdynamo_exporting = lambda: False
    # A check of values (are the positions packed?) that allocates [B, S] integers for a moment and ends in "no".
    masks.find_packed_sequence_indices = lambda *a, **k: None
    # An autograd function that keeps its input alone, as the fused operator does; an export would show what it is made of.
    from transformers.models.bloom import modeling_bloom
    modeling_bloom.BloomGelu.forward = lambda self, x: F.gelu(x, approximate='tanh')
    # Scalars that live on the CPU are numbers in our graphs.
    from transformers.models.deberta_v2 import modeling_deberta_v2

    class Number(float):
        def to(self, dtype):
            return float(self)

    def make_log_bucket_position(relative, buckets, longest):
        half = buckets // 2
        sign = torch.sign(relative)
        near = (relative < half) & (relative > -half)
        distance = torch.where(near, torch.full((), half - 1, dtype=relative.dtype, device=relative.device), torch.abs(relative))
        log_pos = torch.ceil(torch.log(distance / half) / math.log((longest - 1) / half) * (half - 1)) + half
        return torch.where(distance <= half, relative.type_as(log_pos), log_pos * sign)

    modeling_deberta_v2.scaled_size_sqrt = lambda x, parts: Number(math.sqrt(x.size(-1) * parts))
    modeling_deberta_v2.make_log_bucket_position = make_log_bucket_position
    config = AutoConfig.for_model(case['model_type'], **case['config'])
    config.use_cache = False
    for key, value in case.get('set', {}).items():
        setattr(config, key, value)
    module = getattr(transformers, case['architecture'])._from_config(config, attn_implementation=case['attention'])
    targets = 'labels' in case

    class Wrapped(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.m = module

        def forward(self, input_ids, labels=None):
            return self.m(input_ids=input_ids, labels=input_ids if labels is None else labels).loss

    inputs = [torch.zeros(BATCH, LENGTH, dtype=torch.long)]
    names = ['input_ids']
    if targets:
        inputs.append(torch.zeros([BATCH] if case['labels'] == 'sample' else [BATCH, LENGTH], dtype=torch.long))
        names.append('labels')
    return Wrapped(), tuple(inputs), names


def flatten_graphs(module):
    """The nodes in order, with the bodies of no-grad regions in their place."""
    out, names = [], {}

    def walk(graph, owner, scope):
        for node in graph.nodes:
            if node.op == 'placeholder':
                continue
            if node.op == 'call_function' and 'wrap_with' in str(node.target):
                inner = getattr(owner, node.args[next(i for i, a in enumerate(node.args) if getattr(a, 'op', '') == 'get_attr')].target)
                position = next(i for i, a in enumerate(node.args) if getattr(a, 'op', '') == 'get_attr')
                bound = {p: resolve(a, scope) for p, a in zip([n for n in inner.graph.nodes if n.op == 'placeholder'], node.args[position + 1:])}
                results = walk(inner.graph, inner, {**scope, **bound})
                scope[node] = results
            elif node.op == 'output':
                return [resolve(a, scope) for a in (node.args[0] if isinstance(node.args[0], (list, tuple)) else [node.args[0]])]
            elif node.op == 'call_function' and getattr(node.target, '__name__', '') == 'getitem':
                source = resolve(node.args[0], scope)
                scope[node] = source[node.args[1]] if isinstance(source, list) else (source, node.args[1])
            elif node.op == 'get_attr':
                continue
            else:
                alias = is_nothing(node, scope)
                if alias is not None:
                    scope[node] = alias
                    continue
                scope[node] = len(out)
                out.append((node, scope))
        return []

    def resolve(value, scope):
        return scope.get(value, value) if isinstance(value, torch.fx.Node) else value

    walk(module.graph, module, names)
    return out, resolve


def is_nothing(node, scope):
    """What a node that changes nothing stands for, else None."""
    op = str(node.target)
    source = node.args[0] if node.args else None
    resolved = scope.get(source, source) if isinstance(source, torch.fx.Node) else source
    if '_assert' in op or 'sym_size' in op or 'sym_constrain' in op:
        return 'nothing'
    if op == 'aten.add_.Tensor' and 'num_batches_tracked' in str(source):
        return 'nothing'
    if op in ('aten.to.dtype_layout', 'aten.to.device', 'aten.to.dtype', 'aten.to.other') and source.meta['val'].dtype == node.meta['val'].dtype:
        if op != 'aten.to.dtype' or getattr(source.meta['val'], 'dtype', None) is not torch.bfloat16:
            return resolved
    if op == 'aten.slice.Tensor' and source.meta['val'].shape == node.meta['val'].shape:
        return resolved
    if op in ('aten.detach.default', 'aten.detach_.default', 'aten.alias.default'):
        return resolved
    return None


def lower(value, scope, resolve, placeholders):
    if isinstance(value, torch.fx.Node):
        source = resolve(value, scope)
        if isinstance(source, torch.fx.Node):
            return '%' + placeholders[source.name]
        return f'%{source[0]}.{source[1]}' if isinstance(source, tuple) else f'%{source}'
    if isinstance(value, (list, tuple)):
        return [lower(element, scope, resolve, placeholders) for element in value]
    if isinstance(value, torch.dtype):
        return {'bfloat16': 'model', 'long': 'int64'}.get(str(value)[6:], str(value)[6:])
    if isinstance(value, float) and not math.isfinite(value):
        return 'infinite'
    if isinstance(value, (int, float, bool, str)) or value is None:
        return value
    return str(value)


def module_path(node):
    stack = list((node.meta.get('nn_module_stack') or {}).items())
    if not stack:
        return ''
    path = stack[-1][1][0]
    return path[2:] if path.startswith('m.') else ''


def export(case):
    torch.manual_seed(0)
    dtype = torch.bfloat16 if case['kind'] == 'hf' else torch.float32
    torch.set_default_dtype(dtype)
    with torch.device('meta'):
        wrapped, inputs, names = (build_transformer if case['kind'] == 'hf' else build_vision)(case)
    torch.set_default_dtype(torch.float32)
    wrapped.train()
    inputs = tuple(value.to(device='meta', dtype=dtype) if value.is_floating_point() else value.to('meta') for value in inputs)
    program = torch.export.export(wrapped, inputs, strict=False)
    placeholders = {}
    for spec in program.graph_signature.input_specs:
        if spec.target:
            placeholders[spec.arg.name] = spec.target[2:] if spec.target.startswith('m.') else spec.target
    users = [spec.arg.name for spec in program.graph_signature.input_specs if not spec.target]
    placeholders.update(zip(users, names))
    nodes, resolve = flatten_graphs(program.graph_module)
    lines = []
    for node, scope in nodes:
        args = lower(node.args, scope, resolve, placeholders)
        kwargs = {k: lower(v, scope, resolve, placeholders) for k, v in node.kwargs.items() if k not in ('device', 'layout', 'pin_memory') and v is not None}
        op = str(node.target)
        if op == 'aten.lift_fresh_copy.default':  # torch.tensor(number)
            args, op = [[], 'constant'], 'aten.full'
            kwargs = {'dtype': lower(node.meta['val'].dtype, scope, resolve, placeholders)}
        lines.append([op[:-8] if op.endswith('.default') else op, args, kwargs, module_path(node)])
    parameters = {name[2:]: list(value.shape) for name, value in wrapped.named_parameters()}
    return {'parameters': sum(math.prod(shape) for shape in parameters.values()), 'shapes': parameters, 'nodes': lines}


def main():
    wanted = sys.argv[1:]
    for case in CASES:
        if wanted and case['name'] not in wanted:
            continue
        try:
            result = export(case)
        except Exception as error:
            print(case['name'], 'FAILED', type(error).__name__, str(error)[:300], flush=True)
            continue
        nodes = ',\n'.join(json.dumps(node, separators=(',', ':')) for node in result.pop('nodes'))
        head = json.dumps({'case': case, 'torch': torch.__version__, **result}, separators=(',', ':'))
        text = head[:-1] + ',"nodes":[\n' + nodes + '\n]}\n'
        (FOLDER / f"{case['name']}.json.gz").write_bytes(gzip.compress(text.encode(), mtime=0))
        print(case['name'], result['parameters'], len(nodes.splitlines()), flush=True)


if __name__ == '__main__':
    main()
