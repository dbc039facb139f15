//! Which process this is of how many, from the variables that launchers set.

use super::CollectiveError;

/// This process among those of a training.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ranks {
    /// This process, counted from 0.
    pub rank: usize,
    /// How many there are.
    pub ranks: usize,
    /// This process among those of its host, counted from 0, where the launcher says so.
    pub local_rank: Option<usize>,
    /// The host of rank 0.
    pub address: String,
    /// The port where the processes meet.
    pub port: u16,
    /// The prefix of keys in the store that torchrun's agent holds at that port; rank 0 holds one if there is none.
    pub agent: Option<String>,
}

/// What reads a variable.
type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

const EXPECTED: &str = "all of RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT, as torchrun sets them, or none of them";

/// Ports for launchers that name none: from here on, as many as there are.
const PORTS: (u16, u64) = (20_000, 20_000);

impl Ranks {
    /// Reads the variables of this process; `None` if no launcher set any.
    ///
    /// # Errors
    /// When only some are set, or their values make no sense.
    pub fn from_environment() -> Result<Option<Ranks>, CollectiveError> {
        Ranks::from_variables(&|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    }

    /// The same from given variables. Those of torchrun count first; then Open MPI's, which starts its processes through
    /// Slurm where there is one; then Slurm's.
    ///
    /// # Errors
    /// As for [`Ranks::from_environment`].
    pub fn from_variables(of: Variables<'_>) -> Result<Option<Ranks>, CollectiveError> {
        if of("RANK").is_some() || of("WORLD_SIZE").is_some() {
            return torchrun(of).map(Some);
        }
        if let Some(ranks) = of("OMPI_COMM_WORLD_SIZE") {
            return open_mpi(of, &ranks).map(Some);
        }
        // Set for the tasks of a step alone: not in a batch script, of which there is one whatever the number of tasks.
        if let Some(ranks) = of("SLURM_STEP_NUM_TASKS") {
            return slurm(of, &ranks).map(Some);
        }
        match ["LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"].iter().any(|name| of(name).is_some()) {
            true => torchrun(of).map(Some),
            false => Ok(None),
        }
    }
}

fn torchrun(of: Variables<'_>) -> Result<Ranks, CollectiveError> {
    let needed = ["RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"];
    let (found, missing): (Vec<&str>, Vec<&str>) = needed.iter().partition(|name| of(name).is_some());
    let found = if found.is_empty() { vec!["LOCAL_RANK"] } else { found };
    if !missing.is_empty() {
        return Err(half_set(&found, &missing, EXPECTED));
    }
    let text = |name: &str| of(name).unwrap_or_default();
    let (rank, ranks) = rank_of("RANK", &text("RANK"), "WORLD_SIZE", &text("WORLD_SIZE"))?;
    let agent = (text("TORCHELASTIC_USE_AGENT_STORE") == "True").then(|| {
        let attempt = of("TORCHELASTIC_RESTART_COUNT").unwrap_or_else(|| "0".to_string());
        format!("mobilenas/attempt_{attempt}")
    });
    let local_rank = local_rank(of, "LOCAL_RANK")?;
    Ok(Ranks { rank, ranks, local_rank, address: text("MASTER_ADDR"), port: port(of)?.unwrap_or_default(), agent })
}

fn open_mpi(of: Variables<'_>, ranks: &str) -> Result<Ranks, CollectiveError> {
    let name = "OMPI_COMM_WORLD_RANK";
    let rank = of(name).ok_or_else(|| half_set(&["OMPI_COMM_WORLD_SIZE"], &[name], "both, as mpirun sets them"))?;
    let (rank, ranks) = rank_of(name, &rank, "OMPI_COMM_WORLD_SIZE", ranks)?;
    let one_host = of("OMPI_COMM_WORLD_LOCAL_SIZE").is_some_and(|n| n.trim() == ranks.to_string());
    let address = of("MASTER_ADDR").or_else(|| one_host.then(|| "127.0.0.1".to_string())).ok_or_else(|| {
        let expected =
            "the host of rank 0 in MASTER_ADDR where the processes run on several hosts: mpirun -x MASTER_ADDR";
        half_set(&[name, "OMPI_COMM_WORLD_SIZE"], &["MASTER_ADDR"], expected)
    })?;
    let job = of("PMIX_NAMESPACE").or_else(|| of("OMPI_MCA_ess_base_jobid")).unwrap_or_default();
    let local_rank = local_rank(of, "OMPI_COMM_WORLD_LOCAL_RANK")?;
    Ok(Ranks { rank, ranks, local_rank, address, port: port(of)?.unwrap_or_else(|| port_of(&job)), agent: None })
}

fn slurm(of: Variables<'_>, ranks: &str) -> Result<Ranks, CollectiveError> {
    let expected = "all that srun sets";
    let missing = |name| half_set(&["SLURM_STEP_NUM_TASKS"], &[name], expected);
    let rank = of("SLURM_PROCID").ok_or_else(|| missing("SLURM_PROCID"))?;
    let (rank, ranks) = rank_of("SLURM_PROCID", &rank, "SLURM_STEP_NUM_TASKS", ranks)?;
    let nodes = || of("SLURM_STEP_NODELIST").or_else(|| of("SLURM_JOB_NODELIST")).map(|list| first_host(&list));
    let address = of("MASTER_ADDR").or_else(nodes).ok_or_else(|| missing("SLURM_STEP_NODELIST"))?;
    let job = ["SLURM_JOB_ID", "SLURM_STEP_ID"].map(|name| of(name).unwrap_or_default()).join(".");
    let local_rank = local_rank(of, "SLURM_LOCALID")?;
    Ok(Ranks { rank, ranks, local_rank, address, port: port(of)?.unwrap_or_else(|| port_of(&job)), agent: None })
}

fn half_set(found: &[&str], missing: &[&str], expected: &str) -> CollectiveError {
    let (found, missing) = (found.join(", "), missing.join(", "));
    CollectiveError::HalfSet { found, missing, expected: expected.to_string() }
}

fn rank_of(
    name: &'static str,
    rank: &str,
    size_name: &'static str,
    ranks: &str,
) -> Result<(usize, usize), CollectiveError> {
    let wrong = |name, found: &str, expected: String| CollectiveError::Variable { name, found: found.into(), expected };
    let size = ranks.trim().parse().ok().filter(|n| *n >= 1usize);
    let size = size.ok_or_else(|| wrong(size_name, ranks, "a number of processes, at least 1".to_string()))?;
    let own = rank.trim().parse().ok().filter(|n| *n < size);
    let own = own.ok_or_else(|| wrong(name, rank, format!("a number from 0 to {} ({size_name} - 1)", size - 1)))?;
    Ok((own, size))
}

fn local_rank(of: Variables<'_>, name: &'static str) -> Result<Option<usize>, CollectiveError> {
    let wrong = |found: String| CollectiveError::Variable { name, found, expected: "a number from 0 on".to_string() };
    of(name).map(|text| text.trim().parse().map_err(|_| wrong(text))).transpose()
}

fn port(of: Variables<'_>) -> Result<Option<u16>, CollectiveError> {
    let name = "MASTER_PORT";
    let wrong = |found: String| CollectiveError::Variable { name, found, expected: "a port, 1 to 65535".to_string() };
    let parsed = |text: String| text.trim().parse().ok().filter(|port| *port > 0u16).ok_or_else(|| wrong(text));
    of(name).map(parsed).transpose()
}

/// A port for a job, the same in all of its processes.
fn port_of(job: &str) -> u16 {
    PORTS.0 + (mobilenas_space::Fnv::hash(job.as_bytes()) % PORTS.1) as u16
}

/// The first host of Slurm's list: `n[03-07,9],m1` begins with `n03`.
fn first_host(list: &str) -> String {
    let (mut out, mut chars) = (String::new(), list.chars());
    while let Some(c) = chars.next() {
        match c {
            ',' => break,
            '[' => {
                let inside: String = chars.by_ref().take_while(|c| *c != ']').collect();
                out.extend(inside.chars().take_while(|c| !",-".contains(*c)));
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Option<Ranks>, String> {
        let all: Vec<(&str, &str)> = text.split_whitespace().filter_map(|pair| pair.split_once('=')).collect();
        let of = |name: &str| all.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_string());
        Ranks::from_variables(&of).map_err(|e| e.to_string())
    }

    fn some(text: &str) -> Ranks {
        read(text).unwrap().unwrap()
    }

    const RUN: &str = "RANK=1 WORLD_SIZE=4 MASTER_ADDR=10.0.0.1 MASTER_PORT=29400";

    #[test]
    fn torchruns_variables_come_first() {
        let expected =
            Ranks { rank: 1, ranks: 4, local_rank: None, address: "10.0.0.1".into(), port: 29_400, agent: None };
        assert_eq!(some(RUN), expected);
        let both = format!("{RUN} LOCAL_RANK=1 SLURM_PROCID=0 SLURM_STEP_NUM_TASKS=2");
        assert_eq!(some(&both), Ranks { local_rank: Some(1), ..expected.clone() });
        let agent = some(&format!("{RUN} TORCHELASTIC_USE_AGENT_STORE=True TORCHELASTIC_RESTART_COUNT=2")).agent;
        assert_eq!(agent.as_deref(), Some("mobilenas/attempt_2"));
        assert_eq!(read("HOME=/root"), Ok(None));
    }

    #[test]
    fn half_an_environment_is_one_message() {
        let error = read("RANK=0 MASTER_ADDR=a").unwrap_err();
        assert_eq!(error, format!("RANK, MASTER_ADDR set without WORLD_SIZE, MASTER_PORT; expected {EXPECTED}"));
        assert!(
            read("MASTER_PORT=1").unwrap_err().starts_with("MASTER_PORT set without RANK, WORLD_SIZE, MASTER_ADDR")
        );
        assert!(read("LOCAL_RANK=0").unwrap_err().starts_with("LOCAL_RANK set without RANK"));
        let error = read(&RUN.replace("RANK=1", "RANK=4")).unwrap_err();
        assert_eq!(error, "RANK: found \"4\", expected a number from 0 to 3 (WORLD_SIZE - 1)");
        let error = read(&RUN.replace("29400", "no")).unwrap_err();
        assert_eq!(error, "MASTER_PORT: found \"no\", expected a port, 1 to 65535");
        let error = read("OMPI_COMM_WORLD_SIZE=4 OMPI_COMM_WORLD_RANK=0 OMPI_COMM_WORLD_LOCAL_SIZE=2").unwrap_err();
        assert!(error.contains("without MASTER_ADDR"), "{error}");
        assert!(read("SLURM_STEP_NUM_TASKS=2").unwrap_err().contains("without SLURM_PROCID"));
    }

    #[test]
    fn slurms_steps_and_mpirun_are_known() {
        // A batch script is one process, whatever the number of tasks.
        assert_eq!(read("SLURM_PROCID=0 SLURM_NTASKS=4 SLURM_JOB_ID=7"), Ok(None));
        let step =
            "SLURM_PROCID=1 SLURM_STEP_NUM_TASKS=2 SLURM_LOCALID=0 SLURM_STEP_NODELIST=n[03-07,9] SLURM_JOB_ID=7";
        let found = some(step);
        assert_eq!((found.rank, found.ranks, found.local_rank, found.address.as_str()), (1, 2, Some(0), "n03"));
        assert_eq!(found.port, some(&step.replace("PROCID=1", "PROCID=0")).port, "all ranks meet at one port");
        assert_ne!(found.port, some(&step.replace("JOB_ID=7", "JOB_ID=8")).port);
        let mpi =
            "OMPI_COMM_WORLD_SIZE=2 OMPI_COMM_WORLD_RANK=1 OMPI_COMM_WORLD_LOCAL_SIZE=2 OMPI_COMM_WORLD_LOCAL_RANK=1";
        let found = some(mpi);
        assert_eq!((found.rank, found.local_rank, found.address.as_str()), (1, Some(1), "127.0.0.1"));
    }

    #[test]
    fn the_first_of_slurms_hosts() {
        for (list, first) in [("n1", "n1"), ("a,b", "a"), ("n[1-2]", "n1"), ("r[2,4]n[08-10],x", "r2n08")] {
            assert_eq!(first_host(list), first);
        }
    }
}
