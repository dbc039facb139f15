#!/usr/bin/env python3
"""Write timm's feature_info of networks as JSON: for each id [channels, stride, module] of every feature map.

    python make_features.py ID ... > features.json        needs timm 1.0.31 and torch 2.11.0
"""
import json
import sys

import timm

told = {}
for name in sys.argv[1:]:
    info = timm.create_model(name).feature_info
    told[name] = [[f["num_chs"], f["reduction"], f["module"]] for f in getattr(info, "info", info)]
print("{\n" + ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in told.items()) + "\n}")
