//! The command that starts a worker, by a launcher or not.

use std::ffi::OsString;
use std::hash::{BuildHasher as _, RandomState};
use std::path::Path;
use std::process::Command;

use crate::WorkerId;
use crate::settings::{Kubernetes, Launch, Named, Slurm, Workers};

/// What a worker computes on, for launchers that assign it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    /// Threads.
    pub threads: u32,
    /// Whether it needs a GPU.
    pub gpu: bool,
}

impl Workers {
    /// How many workers to begin with.
    pub fn count(&self) -> usize {
        let hosts = match &self.launch {
            Some(Launch::Preset(p)) => p.ssh.as_ref().map_or(1, Vec::len),
            _ => 1,
        };
        self.count.unwrap_or(hosts)
    }

    /// The command of a worker. `program` and `args` are what it runs, as on this machine.
    pub fn command(&self, who: WorkerId, program: &Path, args: &[OsString], needs: Needs) -> Command {
        let program = self.program.as_ref().map_or_else(|| program.as_os_str().to_owned(), OsString::from);
        let mut own: Vec<OsString> = Vec::new();
        if !self.env.is_empty() && self.launch.is_some() {
            own.push("env".into());
            own.extend(self.env.iter().map(|(k, v)| OsString::from(format!("{k}={v}"))));
        }
        own.push(program);
        own.extend(args.iter().cloned());
        let name = name(who);
        let words: Vec<OsString> = match &self.launch {
            None => Vec::new(),
            Some(Launch::Command(words)) => words.iter().map(|w| w.replace("{worker}", &name).into()).collect(),
            Some(Launch::Named(Named::Slurm)) => srun(&Slurm::default(), needs),
            Some(Launch::Preset(preset)) => match (&preset.slurm, &preset.ssh, &preset.kubernetes) {
                (Some(slurm), ..) => srun(slurm, needs),
                (_, Some(hosts), _) if !hosts.is_empty() => {
                    own = vec![remote_shell(&own)];
                    ssh(&hosts[who.seat as usize % hosts.len()])
                }
                (.., Some(kubernetes)) => kubectl(kubernetes, &name),
                _ => Vec::new(),
            },
        };
        let mut all = words.into_iter().chain(own);
        let mut command = Command::new(all.next().unwrap_or_default());
        command.args(all);
        if self.launch.is_none() {
            command.envs(&self.env);
        }
        command
    }
}

/// A name that no other worker has, of this search or another: a pod keeps its own until somebody deletes it.
fn name(who: WorkerId) -> String {
    format!("{}-{}-{:016x}", who.seat, who.generation, RandomState::new().hash_one(who))
}

fn srun(slurm: &Slurm, needs: Needs) -> Vec<OsString> {
    let mut words: Vec<OsString> = ["srun", "--ntasks=1", "--nodes=1", "--exact", "--quiet"].map(OsString::from).into();
    words.push(format!("--cpus-per-task={}", needs.threads).into());
    words.extend(needs.gpu.then(|| OsString::from("--gpus-per-task=1")));
    words.extend(slurm.args.iter().map(OsString::from));
    words
}

fn ssh(host: &str) -> Vec<OsString> {
    // Asks nothing, since nobody would answer, and notices a host that is gone.
    let options = ["ssh", "-T", "-o", "BatchMode=yes", "-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=3"];
    options.into_iter().chain(["--", host]).map(OsString::from).collect()
}

/// One word for the shell on the other side. The program takes the shell's place, so that it gets its signals.
fn remote_shell(words: &[OsString]) -> OsString {
    let quoted = |w: &OsString| format!("'{}'", w.to_string_lossy().replace('\'', "'\\''"));
    format!("exec {}", words.iter().map(quoted).collect::<Vec<_>>().join(" ")).into()
}

fn kubectl(k: &Kubernetes, name: &str) -> Vec<OsString> {
    let mut words: Vec<OsString> = vec!["kubectl".into(), "run".into(), format!("mobilenas-{name}").into()];
    words.extend(["--stdin", "--rm", "--quiet", "--restart=Never"].map(OsString::from));
    // It may wait for a machine, or for its image. After a minute kubectl would give it up, and leave it there.
    words.push("--pod-running-timeout=24h".into());
    words.push(format!("--image={}", k.image).into());
    words.extend(k.args.iter().map(OsString::from));
    words.extend(["--command", "--"].map(OsString::from));
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Preset;

    fn words(launch: Option<Launch>, seat: u32, gpu: bool) -> String {
        let workers = Workers { launch, env: [("A".to_string(), "it's".to_string())].into(), ..Workers::default() };
        let args = ["worker".into(), "/a run".into()];
        let who = WorkerId { seat, generation: 3 };
        let c = workers.command(who, Path::new("/bin/mobilenas"), &args, Needs { threads: 4, gpu });
        let all = std::iter::once(c.get_program()).chain(c.get_args());
        all.map(|w| w.to_string_lossy()).collect::<Vec<_>>().join("|")
    }

    #[test]
    fn presets_fill_in_the_command() {
        let own = "env|A=it's|/bin/mobilenas|worker|/a run";
        assert_eq!(words(None, 0, false), "/bin/mobilenas|worker|/a run");
        let any = || Some(Launch::Command(vec!["run".to_string(), "x-{worker}".to_string()]));
        let told = words(any(), 7, false);
        let name = told.strip_prefix("run|x-").and_then(|rest| rest.split_once('|')).map_or("", |(name, _)| name);
        assert_eq!(told, format!("run|x-{name}|{own}"));
        assert!(name.starts_with("7-3-") && told != words(any(), 7, false), "{told}");
        let srun = "srun|--ntasks=1|--nodes=1|--exact|--quiet|--cpus-per-task=4";
        assert_eq!(words(Some(Launch::Named(Named::Slurm)), 0, false), format!("{srun}|{own}"));
        let slurm = Slurm { args: vec!["--mem=2G".to_string()] };
        let preset = Preset { slurm: Some(slurm), ..Preset::default() };
        let expected = format!("{srun}|--gpus-per-task=1|--mem=2G|{own}");
        assert_eq!(words(Some(Launch::Preset(preset)), 0, true), expected);
        let hosts = Preset { ssh: Some(vec!["a".to_string(), "b".to_string()]), ..Preset::default() };
        let told = words(Some(Launch::Preset(hosts)), 3, false);
        let quoted = r"--|b|exec 'env' 'A=it'\''s' '/bin/mobilenas' 'worker' '/a run'";
        assert!(told.starts_with("ssh|-T|-o|BatchMode=yes|") && told.ends_with(quoted), "{told}");
        let kubernetes = Kubernetes { image: "registry/nas:1".to_string(), args: vec!["--namespace=nas".to_string()] };
        let preset = Preset { kubernetes: Some(kubernetes), ..Preset::default() };
        let told = words(Some(Launch::Preset(preset)), 7, false);
        let (run, options) = told.split_once("|--stdin|").unwrap_or_default();
        assert!(run.starts_with("kubectl|run|mobilenas-7-3-"), "{told}");
        let own_options = "--rm|--quiet|--restart=Never|--pod-running-timeout=24h|--image=registry/nas:1";
        assert_eq!(options, format!("{own_options}|--namespace=nas|--command|--|{own}"));
    }

    #[test]
    fn the_number_of_hosts_is_the_number_of_workers_unless_it_is_given() {
        let hosts = || Some(vec!["a".to_string(), "b".to_string()]);
        let launch = || Some(Launch::Preset(Preset { ssh: hosts(), ..Preset::default() }));
        assert_eq!(Workers { launch: launch(), ..Workers::default() }.count(), 2);
        assert_eq!(Workers { launch: launch(), count: Some(5), ..Workers::default() }.count(), 5);
        assert_eq!(Workers::default().count(), 1);
    }
}
