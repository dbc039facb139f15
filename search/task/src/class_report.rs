//! Accuracy by class: top-1, top-5 and what each class is taken for.

use std::collections::BTreeMap;

/// One class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClassAccuracy {
    /// Its images.
    pub images: u64,
    /// Of them, those given to it.
    pub first: u64,
    /// Of them, those for which it is among the five likeliest.
    pub fifth: u64,
}

impl ClassAccuracy {
    /// Share of images given to their class, in percent; 0 of none.
    pub fn top1(&self) -> f64 {
        100.0 * self.first as f64 / self.images.max(1) as f64
    }

    /// Share of images whose class is among the five likeliest, in percent; 0 of none.
    pub fn top5(&self) -> f64 {
        100.0 * self.fifth as f64 / self.images.max(1) as f64
    }
}

/// All classes, and which is taken for which.
#[derive(Clone, Debug)]
pub struct ClassReport {
    classes: Vec<ClassAccuracy>,
    /// Images by (class, wrong class given).
    wrong: BTreeMap<(usize, usize), u64>,
}

impl ClassReport {
    /// Nothing counted.
    pub fn new(classes: usize) -> ClassReport {
        ClassReport { classes: vec![ClassAccuracy::default(); classes], wrong: BTreeMap::new() }
    }

    /// Counts an image of a class, given its likeliest classes in order.
    pub fn add(&mut self, class: usize, likeliest: &[usize]) {
        let one = &mut self.classes[class];
        one.images += 1;
        one.fifth += u64::from(likeliest.iter().take(5).any(|c| *c == class));
        match likeliest.first() {
            Some(&given) if given != class => *self.wrong.entry((class, given)).or_default() += 1,
            _ => one.first += 1,
        }
    }

    fn total(&self) -> ClassAccuracy {
        self.classes.iter().fold(ClassAccuracy::default(), |a, c| ClassAccuracy {
            images: a.images + c.images,
            first: a.first + c.first,
            fifth: a.fifth + c.fifth,
        })
    }

    /// Images counted.
    pub fn images(&self) -> u64 {
        self.total().images
    }

    /// Of all images, in percent.
    pub fn top1(&self) -> f64 {
        self.total().top1()
    }

    /// Of all images, in percent.
    pub fn top5(&self) -> f64 {
        self.total().top5()
    }

    /// One class.
    pub fn class(&self, class: usize) -> ClassAccuracy {
        self.classes.get(class).copied().unwrap_or_default()
    }

    /// The classes that have images, worst top-1 first; of equal ones the first comes first.
    pub fn worst(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.classes.len()).filter(|c| self.classes[*c].images > 0).collect();
        order.sort_by(|a, b| self.classes[*a].top1().total_cmp(&self.classes[*b].top1()));
        order
    }

    /// The class that most of a class's images are wrongly given to, and how many; of equal ones the first.
    pub fn most_frequent_wrong(&self, class: usize) -> Option<(usize, u64)> {
        let row = self.wrong.range((class, 0)..=(class, usize::MAX));
        row.map(|((_, given), n)| (*given, *n)).reduce(|a, b| if b.1 > a.1 { b } else { a })
    }
}
