//! What retrained networks find in images of the test split.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mobilenas_record::metric::SHOWN;

use super::folder::OutputFolder;
use super::html::{escape, paragraph};
use super::section::Section;
use super::trial_table::label;
use crate::error::ReportError;
use crate::retrained::retrained_networks;
use crate::run_data::RunData;

pub(super) const SECTION: Section<RunData> = Section {
    name: "pictures",
    heading: "What the networks find",
    help: "detections or class maps of networks that were trained on their own",
    render,
};

fn render(run: &RunData, _: &mut OutputFolder) -> Result<String, ReportError> {
    let mut out = String::new();
    for network in retrained_networks(run) {
        let Some(pictures) = run.pictures.get(&network.trial) else { continue };
        let name = run.trial(network.trial).map_or_else(|| format!("#{}", network.trial), |t| label(run, t));
        let name = escape(&name);
        let images = pictures.iter().enumerate().map(|(n, png)| {
            let (n, data) = (n + 1, STANDARD.encode(png));
            format!("<img alt=\"image {n} of the test split, with what {name} finds\" src=\"data:image/png;base64,{data}\">\n")
        });
        let images: String = images.collect();
        out += &format!("<figure class=\"pictures\">\n<figcaption>{name}</figcaption>\n{images}</figure>\n");
    }
    if out.is_empty() {
        return Ok(out);
    }
    let note = format!(
        "The first images of the test split, with what each network finds after its first training: boxes of a score of \
         {SHOWN} or more, or the class of each pixel. A colour stands for a class. They are examples, and no measure."
    );
    Ok(paragraph(&note) + &out)
}
