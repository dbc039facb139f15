//! The networks of a step, each run forward and backward: side by side where there are threads for it.
//!
//! The gradients of each network are its own until all have run, and are then added in the order of the networks. So the
//! sum does not depend on which ends first.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use mobilenas_native::accumulate_grad;
use mobilenas_task::{Outputs, Targets};
use mobilenas_torch::{Mode, Net, ParamStore, threads};
use rayon::ThreadPool;
use tch::Tensor;

use crate::TrainError;

/// A network of a step with its images and their targets.
pub(crate) struct Pass {
    pub net: Net,
    pub images: Tensor,
    pub targets: Targets,
}

impl Pass {
    /// The network's outputs, float32; of a classifier, the mean of its heads.
    pub(crate) fn outputs(&self, mode: Mode) -> Result<Outputs, TrainError> {
        Outputs::run(&self.net, &self.images, mode)?.in_float().map_err(TrainError::torch)
    }
}

/// What the first network leaves: its outputs for the meter, and its loss, both detached.
pub(crate) struct First {
    pub outputs: Outputs,
    pub loss: Tensor,
}

/// The loss of a network from its outputs, its targets and, but for the first, the teacher's outputs.
pub(crate) type Loss<'a> = &'a (dyn Fn(&Outputs, &Targets, Option<&Outputs>) -> Result<Tensor, TrainError> + Sync);

/// Runs the networks of a step.
#[derive(Debug, Default)]
pub(crate) struct Passes {
    /// Threads that run networks, once they are needed.
    pool: Option<ThreadPool>,
    /// How many, and libtorch's threads of each.
    shape: [usize; 2],
}

impl Passes {
    /// Shares `threads` of libtorch among so many networks at once.
    fn share(&mut self, threads: usize, networks: usize) -> Result<Option<&ThreadPool>, TrainError> {
        let lanes = threads.min(networks).max(1);
        let shape = [lanes, (threads / lanes).max(1)];
        if lanes == 1 {
            return Ok(None);
        }
        if self.pool.is_none() || self.shape != shape {
            self.pool = Some(threads::pool(shape[0], shape[1])?);
            self.shape = shape;
        }
        Ok(self.pool.as_ref())
    }

    /// Runs all networks, the first being the teacher of the others, and adds their gradients, times `share`, to the
    /// store's.
    ///
    /// With `side_by_side`, networks may run at once; they must draw no random numbers but for the first, and change no
    /// statistics.
    pub(crate) fn run(
        &mut self,
        store: &ParamStore,
        passes: Vec<Pass>,
        mode: Mode,
        side_by_side: bool,
        share: f64,
        loss: Loss<'_>,
    ) -> Result<First, TrainError> {
        let threads = if side_by_side { tch::get_num_threads().max(1) as usize } else { 1 };
        let n = passes.len();
        let pool = self.share(threads, n)?;
        let params: Vec<&Tensor> = store.trainable().map(|(_, _, t)| t).collect();
        let clones = || params.iter().map(|p| p.shallow_clone()).collect::<Vec<Tensor>>();
        // The largest first, or it would be waited for in the end; the teacher before all.
        let mut order: Vec<usize> = (0..n).collect();
        order.sort_by_key(|i| std::cmp::Reverse(if *i == 0 { u64::MAX } else { macs(&passes[*i]) }));
        let jobs: Vec<Mutex<Option<Job>>> =
            passes.into_iter().map(|pass| Mutex::new(Some(Job { pass, params: clones() }))).collect();
        let results: Vec<Mutex<Option<Result<Ran, TrainError>>>> = jobs.iter().map(|_| Mutex::default()).collect();
        let (teacher, next) = (Teacher::default(), AtomicUsize::new(0));
        let lane = || {
            while let Some(i) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
                if let Some(job) = locked(&jobs[*i]).take() {
                    *locked(&results[*i]) = Some(job.run(*i == 0, (mode, share), &teacher, loss));
                }
            }
        };
        match pool {
            Some(pool) => pool.broadcast(|_| lane()).into_iter().for_each(drop),
            None => lane(),
        }
        let mut first = None;
        for result in results {
            let ran =
                result.into_inner().unwrap_or_else(PoisonError::into_inner).unwrap_or(Err(TrainError::NoTeacher))?;
            for (param, grad) in params.iter().zip(&ran.grads).filter(|(_, grad)| grad.defined()) {
                accumulate_grad(param, grad)?;
            }
            first = first.or(ran.first);
        }
        first.ok_or(TrainError::NoTeacher)
    }
}

fn macs(pass: &Pass) -> u64 {
    mobilenas_space::cost::graph(pass.net.graph()).macs
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a network's pass gives.
struct Ran {
    /// One gradient a parameter, undefined where the network has none of it.
    grads: Vec<Tensor>,
    first: Option<First>,
}

/// The teacher's outputs, which the other networks wait for.
#[derive(Default)]
struct Teacher {
    outputs: Mutex<TeacherOutputs>,
    told: Condvar,
}

#[derive(Default)]
enum TeacherOutputs {
    #[default]
    Pending,
    Known(Outputs),
    /// It has failed, and its own error says why.
    Failed,
}

impl Teacher {
    fn tell(&self, outputs: TeacherOutputs) {
        *locked(&self.outputs) = outputs;
        self.told.notify_all();
    }

    fn outputs(&self) -> Result<Outputs, TrainError> {
        let mut known = locked(&self.outputs);
        loop {
            match &*known {
                TeacherOutputs::Known(outputs) => return Ok(outputs.detached()),
                TeacherOutputs::Failed => return Err(TrainError::NoTeacher),
                TeacherOutputs::Pending => known = self.told.wait(known).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

/// Tells the others if the teacher fails, also by a panic.
struct TellFailure<'a>(&'a Teacher);

impl Drop for TellFailure<'_> {
    fn drop(&mut self) {
        if matches!(*locked(&self.0.outputs), TeacherOutputs::Pending) {
            self.0.tell(TeacherOutputs::Failed);
        }
    }
}

/// One network's pass, with the parameters that its thread asks the gradients of.
struct Job {
    pass: Pass,
    params: Vec<Tensor>,
}

impl Job {
    fn run(self, first: bool, (mode, share): (Mode, f64), teacher: &Teacher, loss: Loss) -> Result<Ran, TrainError> {
        let Job { pass, params } = self;
        let gradients = |loss: &Tensor| {
            let part = loss.f_mul_scalar(share).map_err(TrainError::torch)?;
            Tensor::f_run_backward(&[part], &params, false, false).map_err(TrainError::torch)
        };
        if !first {
            let outputs = pass.outputs(mode)?;
            let loss = loss(&outputs, &pass.targets, Some(&teacher.outputs()?))?;
            return Ok(Ran { grads: gradients(&loss)?, first: None });
        }
        let _failure = TellFailure(teacher);
        let outputs = pass.outputs(mode)?;
        teacher.tell(TeacherOutputs::Known(outputs.detached()));
        let loss = loss(&outputs, &pass.targets, None)?;
        let grads = gradients(&loss)?;
        Ok(Ran { grads, first: Some(First { outputs: outputs.detached(), loss: loss.detach() }) })
    }
}
