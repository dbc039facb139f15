//! Mistakes between values: what the types of a config alone cannot say.

use mobilenas_evaluator::settings::Statistics;

use super::types::Config;
use super::{BatchNorms, Launch, MeasuredOn, SubnetLoss, SupernetRule, TaskConfig, TaskName, Weights};
use mobilenas_space::RESOLUTION;
use mobilenas_train::settings::SupernetInit;

fn at(path: &str) -> Vec<String> {
    path.split('.').map(str::to_string).collect()
}

impl Config {
    /// The name of the run.
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or("run")
    }

    /// Threads that score a candidate.
    pub fn scoring_threads(&self) -> u32 {
        self.search.threads.unwrap_or(self.threads)
    }

    /// Threads of each training of a winner.
    pub fn retrain_threads(&self) -> u32 {
        (self.threads / self.retrain.workers.max(1) as u32).max(1)
    }

    /// What the types alone cannot say: mistakes between values, each with its path.
    pub fn validate(&self) -> Vec<(Vec<String>, String)> {
        let mut all = Vec::new();
        all.extend(self.space_mistakes());
        all.extend(self.objective_mistakes());
        all.extend(TaskConfig::head_mistakes(self.task, self.head.as_ref()));
        let sections = [("supernet", &self.supernet.recipe), ("retrain", &self.retrain.recipe)];
        all.extend(self.task_config().recipe_mistakes(&self.data, &sections));
        all.extend(self.dense_mistakes());
        all.extend(self.worker_mistakes());
        if let Some(images) = self.scoring.images.filter(|n| *n > self.data.search_val) {
            let message = format!("found {images}, expected at most data.search_val, {}", self.data.search_val);
            all.push((at("scoring.images"), message));
        }
        if self.scoring.statistics == Statistics::Trained && self.supernet.batch_norms == BatchNorms::Shared {
            let message = "found trained, expected recalibrated unless supernet.batch_norms is per_width".to_string();
            all.push((at("scoring.statistics"), message));
        }
        all.extend(self.data.augment.validate().into_iter().map(|(key, m)| (at(&format!("data.augment.{key}")), m)));
        // Each of several spaces has a table of its own, if any.
        let of_spaces = |key: &str| !self.spaces.is_empty() && matches!(key, "latency" | "latency.table");
        let latency = self.latency.validate().into_iter().filter(|(key, _)| !of_spaces(key));
        all.extend(latency.map(|(key, m)| (at(&key), m)));
        for (section, recipe) in [("supernet", &self.supernet.recipe), ("retrain", &self.retrain.recipe)] {
            all.extend(recipe.validate().into_iter().map(|(key, m)| (at(&format!("{section}.{key}")), m)));
        }
        if self.supernet.recipe.distill.is_some() {
            let message = "found a teacher, expected none: a supernet's subnets learn from its largest".to_string();
            all.push((at("supernet.distill"), message));
        }
        if let Some(mistake) = self.supernet.init.as_ref().and_then(SupernetInit::mistake) {
            all.push((at("supernet.init"), mistake.to_string()));
        }
        all
    }

    /// What searches for detection and segmentation cannot do.
    fn dense_mistakes(&self) -> Vec<(Vec<String>, String)> {
        let mut all = Vec::new();
        if self.task == TaskName::Classification {
            return all;
        }
        if self.search.bounds.top1.is_some() {
            all.push((at("search.bounds.top1"), "found one, expected none: it is of classifiers".to_string()));
        }
        let several = |choices: &Vec<i64>| choices.len() > 1;
        let taught = self.supernet.distill_subnets != SubnetLoss::Labels && self.supernet.rule != SupernetRule::Uniform;
        if taught && self.task_config().head().is_some_and(|head| head.rcnn_rules().is_some()) {
            let message = "found a teacher, expected labels: each network of this head has regions of its own";
            all.push((at("supernet.distill_subnets"), message.to_string()));
            return all;
        }
        for entry in self.entries().into_iter().filter(|_| self.task == TaskName::Detection && taught) {
            if entry.section.knobs.get(RESOLUTION).is_none_or(several) {
                let message = "found several choices, expected one, or supernet.distill_subnets: labels: anchors of different \
                               resolutions cannot be compared";
                let path = entry.key("knobs").into_iter().chain([RESOLUTION.to_string()]).collect();
                all.push((path, message.to_string()));
            }
        }
        all
    }

    /// Latencies on workers that there are none of.
    pub fn latency_mistake(&self) -> Option<(Vec<String>, String)> {
        let wrong = self.latency.measured_on == MeasuredOn::Workers && self.workers.is_none();
        wrong.then(|| (at("latency.measured_on"), "found workers, expected here without the map workers".to_string()))
    }

    /// Workers of two kinds.
    fn worker_mistakes(&self) -> Vec<(Vec<String>, String)> {
        let Some(workers) = &self.workers else { return Vec::new() };
        let mut all = Vec::new();
        if self.search.workers > 1 {
            let found = self.search.workers;
            all.push((at("search.workers"), format!("found {found}, expected none beside the map workers")));
        }
        // Trainings write into the run's folder.
        if workers.weights == Weights::Folder && self.retrain.workers > 1 {
            let found = self.retrain.workers;
            all.push((at("retrain.workers"), format!("found {found}, expected none beside the map workers")));
        }
        if matches!(&workers.launch, Some(Launch::Command(words)) if words.is_empty()) {
            all.push((at("workers.launch"), "found an empty list, expected the words of a command".to_string()));
        }
        if workers.weights == Weights::Pipe && workers.folder.is_some() {
            let message = "found a folder, expected none with workers.weights: pipe";
            all.push((at("workers.folder"), message.to_string()));
        }
        all
    }

    fn objective_mistakes(&self) -> Vec<(Vec<String>, String)> {
        let names: Vec<&str> = crate::metric::of_task(self.task_config().task()).map(|m| m.info().name).collect();
        let mut all = Vec::new();
        for (i, o) in self.search.objectives.iter().enumerate() {
            let path = at(&format!("search.objectives.{i}.metric"));
            if !names.contains(&o.metric.as_str()) {
                let hint = super::nearest(&o.metric, names.iter().copied());
                let hint = hint.map(|n| format!("; did you mean {n}?")).unwrap_or_default();
                all.push((path, format!("found {:?}, expected one of {}{hint}", o.metric, names.join(", "))));
            } else if self.search.objectives[..i].iter().any(|p| p.metric == o.metric) {
                all.push((path, format!("found {:?} twice, expected distinct metrics", o.metric)));
            }
        }
        let accuracy = self.task_config().task().metrics()[0].name;
        if self.search.landmarks > 0 && self.search.objectives.first().is_none_or(|o| o.metric != accuracy) {
            let message = format!("found landmarks, expected {accuracy} as the first objective with them");
            all.push((at("search.landmarks"), message));
        }
        let objectives = self.search.metrics();
        let strategy = &self.search.strategy;
        all.extend(strategy.check_objectives(&objectives).err().map(|message| (at("search.objectives"), message)));
        all.extend(strategy.check_second(&objectives).err().map(|message| (at("search.objectives.1.metric"), message)));
        for (i, p) in self.search.proxies.iter().enumerate() {
            if self.search.proxies[..i].contains(p) {
                let message = "found a proxy twice, expected distinct ones".to_string();
                all.push((at(&format!("search.proxies.{i}")), message));
            }
        }
        all
    }
}
