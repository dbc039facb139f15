"""ExecuTorch: a .pte for the XNNPACK backend, run on ExecuTorch's own runtime."""

from importlib.metadata import version
from pathlib import Path

import torch


def convert(net: torch.nn.Module, x: torch.Tensor, job: dict, out: Path) -> dict:
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.devtools.backend_debug import get_delegation_info
    from executorch.exir import to_edge_transform_and_lower

    exported = torch.export.export(net, (x,), strict=True)
    ranks = [n.meta["val"].dim() for n in exported.graph.nodes if isinstance(n.meta.get("val"), torch.Tensor)]
    lowered = to_edge_transform_and_lower(exported, partitioner=[XnnpackPartitioner()])
    info = get_delegation_info(lowered.exported_program().graph_module)
    out.write_bytes(lowered.to_executorch().buffer)
    # `getitem` takes a result of a delegated part; it is no work.
    by_operator = {name: n for name, n in info.delegation_by_operator.items() if name != "getitem"}
    others = {name: n.non_delegated for name, n in by_operator.items() if n.non_delegated}
    delegated = sum(n.delegated for n in by_operator.values())
    share = {
        "to": "XNNPACK",
        "operators": delegated,
        "of": delegated + sum(others.values()),
        "share": delegated / (delegated + sum(others.values())),
        "partitions": info.num_delegated_subgraphs,
        "others": others,
    }
    # What a delegate makes of its part cannot be seen; it was of these ranks when the delegate got it.
    return {"highest_rank": max(ranks), "delegated": share}


def load(file: Path):
    from executorch.runtime import Runtime

    program = Runtime.get().load_program(file)
    # A method does not keep its program.
    method = program.load_method("forward")

    def run(x: torch.Tensor, _kept=program) -> torch.Tensor:
        (logits,) = method.execute([x])
        return logits.clone()

    return run, {"runtime": {"name": "ExecuTorch", "version": version("executorch")}}
