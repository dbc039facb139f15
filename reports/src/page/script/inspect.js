// What a click shows: all numbers, the difference from the nearest published variant, the layers, a config.

const readers = new Map();

// The genomes of a point's run, unpacked.
const readerOf = (data, i) => {
  const set = (data.genomes || []).find((g) => i >= g.first && i < g.first + g.count);
  if (!set) return null;
  if (!readers.has(set)) {
    let sum = 0;
    const starts = set.layers.map((n) => (sum += n) - n);
    readers.set(set, { set, starts, chosen: unpack(set.chosen), stacks: unpack(set.stacks) });
  }
  return readers.get(set);
};

// A genome as [knob, value] pairs, in the order of the knobs.
const genomeOf = (data, i) => {
  const r = readerOf(data, i);
  if (!r) return null;
  const { knobs, first } = r.set;
  const value = (k, at) => knobs[k].choices[r.chosen((at - first) * knobs.length + k)];
  return knobs.map((k, at) => ({ knob: k, value: value(at, i) })).filter((g) => g.value !== undefined);
};

// Knobs whose names differ only in their last number are written together: stages.1–3.depth=2,4,3.
const compact = (genome) => {
  const groups = new Map();
  for (const { knob, value } of genome) {
    const found = knob.name.match(/^(.*\.|)(\d+)(\..*|)$/);
    const key = found ? `${found[1]}*${found[3]}` : knob.name;
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push({ index: found && Number(found[2]), value });
  }
  const one = ([key, members]) => {
    members.sort((a, b) => a.index - b.index);
    const span = members.length > 1 ? `${members[0].index}–${members[members.length - 1].index}` : members[0].index;
    return `${members[0].index === null ? key : key.replace("*", span)}=${members.map((m) => m.value).join(",")}`;
  };
  return [...groups].map(one);
};

// A genome in short, in parts that are not broken over lines.
const code = (genome) => el("code", {}, ...compact(genome).flatMap((g) => [el("span", {}, g), " "]));

// stages.3.depth: "stage 3" and "depth".
const place = (name) => {
  const parts = name.split(".");
  const leaf = parts.pop();
  const words = parts.map((p, k) => (/^\d+$/.test(parts[k + 1]) ? p.replace(/s$/, "") : p));
  return [words.join(" "), leaf];
};

// The differences of two genomes in words, one item per block.
const differences = (from, to) => {
  const before = new Map(from.map((g) => [g.knob.name, g.value]));
  const places = new Map();
  for (const { knob, value } of to) {
    const old = before.get(knob.name);
    if (old === value) continue;
    const [where, leaf] = place(knob.name);
    const change = `${old === undefined ? "none" : old} → ${value}`;
    // Most names abbreviate their kind: expand for expansion.
    const called = !knob.kind ? leaf : knob.kind.slice(0, 4) === leaf.slice(0, 4) ? knob.kind : `${leaf} (${knob.kind})`;
    const text = knob.kind === "depth" ? `${change} blocks` : `${called} ${change}`;
    if (!places.has(where)) places.set(where, []);
    places.get(where).push(text);
  }
  return [...places].map(([where, texts]) => (where ? `${where}: ${texts.join(", ")}` : texts.join(", ")));
};

// The published variant among the run's trials that differs in the fewest knobs.
const nearestVariant = (data, i) => {
  const own = genomeOf(data, i);
  let best = null;
  for (const v of readerOf(data, i).set.variants) {
    const other = genomeOf(data, v);
    const values = new Map(other.map((g) => [g.knob.name, g.value]));
    const count = own.filter((g) => values.get(g.knob.name) !== g.value).length;
    if (!best || count < best.count) best = { variant: v, count, of: own.length, words: differences(other, own) };
  }
  return best;
};

const yamlKey = (name) => (/^[A-Za-z_][\w.]*$/.test(name) ? name : JSON.stringify(name));

const yaml = (set, genome) => {
  const knobs = genome.map(({ knob, value }) => `    ${yamlKey(knob.name)}: [${value}]\n`).join("");
  return `space:\n  family: ${yamlKey(set.family)}\n${set.scale || ""}  knobs:\n${knobs}${set.config || ""}`;
};

const layersOf = (reader, i) => {
  const at = i - reader.set.first;
  return Array.from({ length: reader.set.layers[at] }, (_, k) => reader.set.rows[reader.stacks(reader.starts[at] + k)]);
};

const layerTable = (rows) => {
  const total = rows.reduce(([p, m], r) => [p + r[3], m + r[4]], [0, 0]);
  const share = (part, whole) => `${(100 * part / (whole || 1)).toFixed(1)} %`;
  const heads = ["Block", "Kind", "Output", "Params", "MACs"];
  const cells = (tag, values) => el("tr", {}, ...values.map((v, k) => el(tag, {
    class: k > 1 ? "n" : null, "data-head": tag === "td" && v ? heads[k] : null,
  }, v)));
  const line = (r) => cells("td", [r[0], r[1], r[2], `${count(r[3])} (${share(r[3], total[0])})`,
    `${count(r[4])} (${share(r[4], total[1])})`]);
  return el("div", { class: "scroll" }, el("table", { class: "layers" },
    el("thead", {}, cells("th", heads)),
    el("tbody", {}, ...rows.map(line)),
    el("tfoot", {}, cells("td", ["Total", "", "", count(total[0]), count(total[1])]))));
};

const genomeParts = (plot, i) => {
  const { data } = plot;
  const reader = readerOf(data, i);
  if (!reader) return [];
  const genome = genomeOf(data, i);
  const near = nearestVariant(data, i);
  const rows = layersOf(reader, i);
  const against = !near ? [el("p", {}, "No published variant is among the trials of this run.")]
    : near.count === 0 ? [el("p", {}, `This is ${data.names[near.variant]}.`)]
      : [el("p", {}, `Against ${data.names[near.variant]}, the nearest published variant (${near.count} of ${near.of} knobs differ):`),
        el("ul", { class: "words" }, ...near.words.map((w) => el("li", {}, w)))];
  const whole = reader.set.config !== undefined
    ? "A config whose space is this one network. Save it as FILE.yaml; mobilenas search FILE.yaml trains it under this run's protocol."
    : "The space of a config with this one network; the run's folder has no config.yaml for the rest.";
  return [
    el("h4", {}, "Genome"), el("p", {}, code(genome)), ...against,
    el("h4", {}, "Layers"), rows.length ? layerTable(rows) : el("p", { class: "small" }, `No layers: ${reader.set.without}.`),
    el("h4", {}, "YAML"), el("p", { class: "small" }, whole),
    el("pre", { class: "yaml", tabindex: 0 }, yaml(reader.set, genome)),
  ];
};

// The panel below a plot.
const details = (plot, i) => {
  const close = el("button", { type: "button", class: "close" }, "close");
  close.addEventListener("click", () => { plot.panel.hidden = true; plot.stage.focus(); });
  const facts = plot.facts(i).flatMap(([n, v]) => [el("dt", {}, n), el("dd", {}, v)]);
  return [close, el("h3", {}, plot.name(i)), el("dl", {}, ...facts), ...genomeParts(plot, i)];
};
