"""Makes pareto.json: random sets of points with what pymoo and numpy say of them.

    pip install pymoo && python pareto.py > pareto.json

pymoo minimises, and knows neither NaN nor infinities: an objective to be large is negated, and a point with a value that
is not finite is kept out of what pymoo sees, as the crate promises to do. NaN and infinities are text in the file, since
JSON has no number for them.
"""

import json

import numpy as np
import pymoo
from pymoo.indicators.hv import HV
from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting


def points(rng, kind, count, goals):
    if kind == "spread":
        values = rng.normal(0, 3, (count, goals))
    elif kind == "ties":  # few values, so that many points tie in an objective or are equal
        values = rng.integers(-3, 4, (count, goals)).astype(float)
    else:  # a curved front with scales far apart
        values = np.abs(rng.normal(0, 1, (count, goals)))
        values = values / np.linalg.norm(values, axis=1, keepdims=True) * 10.0 ** np.arange(goals)
    twice = rng.integers(0, count, count // 4)
    values = values.round(4)
    return np.concatenate([values, values[twice]])


def broken(rng, values):
    hit = rng.random(values.shape) < 0.05
    values[hit] = rng.choice([np.nan, np.inf, -np.inf], hit.sum())
    return values


def written(value):
    return value if np.isfinite(value) else str(value)


def front_case(rng, kind, goals):
    values = points(rng, kind, int(rng.integers(4, 40)), goals)
    if rng.random() < 0.7:
        values = broken(rng, values)
    largest = rng.random(goals) < 0.5
    sign = np.where(largest, -1.0, 1.0)
    sound = np.isfinite(values).all(axis=1)
    costs = (values * sign)[sound]
    where = np.flatnonzero(sound)
    front = NonDominatedSorting().do(costs, only_non_dominated_front=True) if len(costs) else []
    # Some points lie beyond the reference, and add nothing.
    reference = np.quantile(costs, 0.9, axis=0) if len(costs) else np.ones(goals)
    inside = costs[(costs < reference).all(axis=1)] if len(costs) else costs
    volume = float(HV(ref_point=reference)(inside)) if len(inside) else 0.0
    return {
        "maximise": largest.tolist(),
        "points": [[written(v) for v in row] for row in values.tolist()],
        "front": sorted(int(where[i]) for i in front),
        "reference": (reference * sign).tolist(),
        "hypervolume": volume,
    }


def mes_case(rng):
    params, latency, unit = 10 ** rng.uniform(4, 9), 10 ** rng.uniform(-2, 4), 10 ** rng.uniform(-1, 3)
    alpha, beta, score, size = rng.uniform(0, 2), rng.uniform(0, 2), rng.uniform(1, 200), 10 ** rng.uniform(5, 7)
    log = np.log(score) - alpha * (np.log(params) - np.log(size)) - beta * (np.log(latency) - np.log(unit))
    inputs = [params, latency, unit, alpha, beta, score, size]
    return {"inputs": [float(v) for v in inputs], "mes": float(np.exp(log))}


def main():
    rng = np.random.default_rng(20)
    kinds = ["spread", "ties", "front"]
    fronts = [front_case(rng, kinds[i % 3], 2 + i // 3 % 3) for i in range(90)]
    made = {"pymoo": pymoo.__version__, "numpy": np.__version__, "fronts": fronts, "mes": [mes_case(rng) for _ in range(60)]}
    print(json.dumps(made))


main()
