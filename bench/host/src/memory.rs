//! Memory of this process.

/// The most bytes that were ever resident, and those that are now; none where the system does not say.
pub fn resident() -> Option<[u64; 2]> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    Some([field(&status, "VmHWM:")?, field(&status, "VmRSS:")?])
}

/// Forgets the most that was ever resident, so that it is counted from now on; whether the system can.
pub fn forget_peak() -> bool {
    std::fs::write("/proc/self/clear_refs", "5").is_ok()
}

/// A field of kibibytes, in bytes.
fn field(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|l| l.strip_prefix(name))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALONE: &str = "MOBILENAS_TEST_ALONE";

    #[test]
    fn fields_are_found_by_their_name() {
        assert_eq!(field("VmPeak:\t 9 kB\nVmHWM:\t  12 kB\n", "VmHWM:"), Some(12 << 10));
        assert_eq!(field("VmPeak:\t 9 kB\n", "VmHWM:"), None);
    }

    /// In a process of its own: tests beside this one take memory and give it back at any moment.
    #[test]
    fn what_is_touched_counts() {
        if std::env::var_os(ALONE).is_none() {
            let mut alone = std::process::Command::new(std::env::current_exe().unwrap());
            alone.args(["--exact", "memory::tests::what_is_touched_counts", "--nocapture"]).env(ALONE, "1");
            let out = alone.output().unwrap();
            let text = String::from_utf8_lossy(&out.stdout);
            assert!(
                out.status.success() && text.contains("1 passed"),
                "{text}{}",
                String::from_utf8_lossy(&out.stderr)
            );
            return;
        }
        let Some([peak, now]) = resident() else { return };
        let more = std::hint::black_box(vec![1u8; 64 << 20]);
        let [after, _] = resident().unwrap();
        assert!(after >= now + (60 << 20) && after >= peak, "{peak}, {now}, {after} with {} more", more.len());
    }
}
