//! Pages and the files beside them. A page is a list of sections; a new section is a file here and a line in [`SECTIONS`].

mod about;
mod compare;
mod document;
mod figure;
mod files;
mod folder;
mod genomes;
mod html;
mod knobs;
mod latency_table;
mod left_out;
mod methods;
mod packed_ints;
mod paper_table;
mod pictures;
mod progress;
mod published;
mod reliability;
mod retrained;
mod run;
mod script;
mod section;
mod study;
mod summary;
mod this_run;
mod trial_table;
mod trials;

pub use compare::{COMPARE_SECTIONS, compare};
pub use folder::{OutputFolder, Written};
pub use latency_table::render_latency_table;
pub use run::{INDEX, SECTIONS, render};
pub use section::Section;
pub use study::{STUDY_SECTIONS, render_study};
