//! Initialisation of convolutions and linear layers as Python; norms and tables make their own.

use mobilenas_space::ir::{Graph, InitStyle, Op, PathSegment};

use crate::tree::text;

/// The function for the style of the whole network, and those for other styles that some of its blocks have.
pub(crate) fn functions(graph: &Graph) -> String {
    let mut all = vec![function("init_weights", graph.style, true)];
    all.extend(styled(graph).iter().map(|(style, _)| function(&name(*style), *style, false)));
    all.join("\n\n")
}

/// The lines of the network's constructor that initialise it.
pub(crate) fn calls(graph: &Graph) -> Vec<String> {
    let mut all = vec!["self.apply(init_weights)".to_string()];
    for (style, modules) in styled(graph) {
        let of = |module: &String| format!("self.get_submodule(\"{module}\").apply({})", name(style));
        all.extend(modules.iter().map(of));
    }
    all
}

/// The styles that are not the network's own, with the outermost modules whose layers all have them.
fn styled(graph: &Graph) -> Vec<(InitStyle, Vec<String>)> {
    let drawn = |op: &Op| matches!(op, Op::Conv { .. } | Op::Linear { .. });
    let layers: Vec<(&[PathSegment], InitStyle)> =
        graph.nodes.iter().filter(|n| drawn(&n.op)).map(|n| (n.path.segments(), n.style)).collect();
    let mut all: Vec<(InitStyle, Vec<String>)> = Vec::new();
    for (path, style) in layers.iter().filter(|(_, style)| *style != graph.style) {
        let alike = |above: &&[PathSegment]| {
            layers.iter().filter(|(p, _)| p.starts_with(above)).all(|(_, other)| other == style)
        };
        let Some(above) = (1..=path.len()).map(|n| &path[..n]).find(alike) else { continue };
        let at = all.iter().position(|(s, _)| s == style).unwrap_or_else(|| {
            all.push((*style, Vec::new()));
            all.len() - 1
        });
        let module = text(above);
        if !all[at].1.contains(&module) {
            all[at].1.push(module);
        }
    }
    all
}

fn name(style: InitStyle) -> String {
    match style {
        InitStyle::Mobile => "init_kaiming".to_string(),
        InitStyle::Former => "init_default".to_string(),
        InitStyle::Xavier => "init_xavier".to_string(),
        InitStyle::Normal { std_e3 } => format!("init_normal_{std_e3}"),
    }
}

/// A function for `Module.apply`. That of the whole network leaves alone what PyTorch initialises alike.
fn function(name: &str, style: InitStyle, whole: bool) -> String {
    let zeros = "if module.bias is not None:\n            nn.init.zeros_(module.bias)\n";
    let both =
        |line: &str| format!("    if isinstance(module, (nn.Conv2d, nn.Linear)):\n        {line}\n        {zeros}");
    let linear = format!(
        "    if isinstance(module, nn.Linear):\n        \
         nn.init.trunc_normal_(module.weight, std=0.02, a=-0.04, b=0.04)\n        {zeros}"
    );
    let body = match style {
        InitStyle::Mobile => format!(
            "    if isinstance(module, nn.Conv2d):\n        \
             fan_out = module.weight.shape[0] // module.groups * module.weight.shape[2] * module.weight.shape[3]\n        \
             nn.init.normal_(module.weight, std=(2.0 / fan_out) ** 0.5)\n        {zeros}{linear}"
        ),
        InitStyle::Former if whole => linear,
        InitStyle::Former => {
            format!("    if isinstance(module, nn.Conv2d):\n        module.reset_parameters()\n{linear}")
        }
        InitStyle::Xavier => both("nn.init.xavier_uniform_(module.weight)"),
        InitStyle::Normal { std_e3 } => {
            both(&format!("nn.init.normal_(module.weight, std={:?})", f64::from(std_e3) / 1000.0))
        }
    };
    format!("def {name}(module: nn.Module) -> None:\n{body}")
}
