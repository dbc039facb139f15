//! COCO's average precision and average recall, bit for bit those of pycocotools.

mod curve;
mod evaluator;
mod matching;
mod region;
mod rules;
mod scores;

pub use evaluator::CocoEvaluator;
pub use region::Region;
pub use rules::{Found, Truth};
pub use scores::CocoScores;
