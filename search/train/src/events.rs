//! CheckpointFiles that TensorBoard reads: records of length, masked CRC-32C and a protocol buffer `Event`
//! (tensorflow/core/util/event.proto and tensorflow/core/lib/io/record_writer.h describe both).

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// A file of events open for writing.
#[derive(Debug)]
pub struct Events {
    file: File,
    /// How much later than the clock the events are, in seconds: a clock may have gone back since the files before.
    ahead: f64,
}

impl Events {
    /// Makes a new file in a folder; its name says from which step on, and when. TensorBoard reads files in the order of their
    /// names, and drops what earlier ones have of later steps.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn create(folder: &Path, step: u64) -> io::Result<Events> {
        fs::create_dir_all(folder)?;
        let (seconds, nanos) =
            SystemTime::now().duration_since(UNIX_EPOCH).map_or((0, 0), |d| (d.as_secs(), d.subsec_nanos()));
        let named = seconds.max(newest(folder)? + 1);
        let path = folder.join(format!("events.out.tfevents.{named}.{nanos}.step{step}"));
        let file = OpenOptions::new().create_new(true).write(true).open(path)?;
        let mut events = Events { file, ahead: (named - seconds) as f64 };
        // Field 3 of an event: the version of the file.
        let mut event = events.stamped();
        bytes(&mut event, 3, b"brain.Event:2");
        events.record(&event)?;
        if step > 0 {
            // Field 2 of an event: the first step to come; field 7: a session, whose field 1 says that it starts.
            let mut event = events.stamped();
            event.push(2 << 3);
            varint(&mut event, step + 1);
            bytes(&mut event, 7, &[1 << 3, 1]);
            events.record(&event)?;
        }
        Ok(events)
    }

    /// Writes named numbers of one step.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn add(&mut self, step: u64, numbers: &[(String, f64)]) -> io::Result<()> {
        let mut summary = Vec::new();
        for (tag, value) in numbers {
            // A value: field 1 the tag, field 2 the number.
            let mut one = Vec::new();
            bytes(&mut one, 1, tag.as_bytes());
            one.push(2 << 3 | 5);
            one.extend((*value as f32).to_le_bytes());
            bytes(&mut summary, 1, &one);
        }
        // An event: field 2 the step, field 5 the summary.
        let mut event = self.stamped();
        event.push(2 << 3);
        varint(&mut event, step);
        bytes(&mut event, 5, &summary);
        self.record(&event)
    }

    /// An event with its time: field 1, seconds since 1970.
    fn stamped(&self) -> Vec<u8> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64());
        let mut out = vec![1 << 3 | 1];
        out.extend((now + self.ahead).to_le_bytes());
        out
    }

    fn record(&mut self, event: &[u8]) -> io::Result<()> {
        let length = (event.len() as u64).to_le_bytes();
        let mut out = length.to_vec();
        out.extend(masked(&length).to_le_bytes());
        out.extend(event);
        out.extend(masked(event).to_le_bytes());
        self.file.write_all(&out)
    }
}

/// The seconds that the newest file of a folder has in its name; 0 without one.
fn newest(folder: &Path) -> io::Result<u64> {
    let mut newest = 0;
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let seconds =
            name.to_str().and_then(|n| n.strip_prefix("events.out.tfevents.")?.split('.').next()?.parse().ok());
        newest = newest.max(seconds.unwrap_or(0));
    }
    Ok(newest)
}

fn varint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

fn bytes(out: &mut Vec<u8>, field: u8, data: &[u8]) {
    out.push(field << 3 | 2);
    varint(out, data.len() as u64);
    out.extend(data);
}

/// The checksum as the format stores it, so that one of data that holds checksums is another.
fn masked(data: &[u8]) -> u32 {
    crc32c::crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_those_of_the_format() {
        let dir = tempfile::tempdir().unwrap();
        let mut events = Events::create(dir.path(), 0).unwrap();
        events.add(300, &[("a".to_string(), 0.5)]).unwrap();
        let file = fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap().path();
        assert!(file.to_string_lossy().contains("tfevents"));
        let data = fs::read(file).unwrap();
        let mut at = 0;
        let mut next = || {
            let length = u64::from_le_bytes(data[at..at + 8].try_into().unwrap()) as usize;
            assert_eq!(masked(&data[at..at + 8]).to_le_bytes(), data[at + 8..at + 12]);
            let event = data[at + 12..at + 12 + length].to_vec();
            assert_eq!(masked(&event).to_le_bytes(), data[at + 12 + length..at + 16 + length]);
            at += 16 + length;
            event
        };
        assert_eq!(next()[9..], [&[3 << 3 | 2, 13][..], b"brain.Event:2"].concat());
        // Step 300, then one value of eight bytes: tag "a" and 0.5.
        assert_eq!(
            next()[9..],
            [2 << 3, 0xac, 2, 5 << 3 | 2, 10, 1 << 3 | 2, 8, 1 << 3 | 2, 1, b'a', 2 << 3 | 5, 0, 0, 0, 0x3f]
        );
        assert_eq!(at, data.len());
    }

    #[test]
    fn a_resumed_training_comes_after_what_is_there_whatever_the_clock_says() {
        let dir = tempfile::tempdir().unwrap();
        let future = dir.path().join("events.out.tfevents.4102444800.5.step0");
        fs::write(&future, "").unwrap();
        drop(Events::create(dir.path(), 9).unwrap());
        let mut names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().path()).collect();
        names.sort();
        assert!(names[0] == future && names[1].to_string_lossy().contains("tfevents.4102444801."), "{names:?}");
        // Its second event starts a session at its step, and is no earlier than the file.
        let data = fs::read(&names[1]).unwrap();
        let second = 16 + 9 + 15;
        assert_eq!(data[second + 12 + 9..][..6], [2 << 3, 10, 7 << 3 | 2, 2, 1 << 3, 1]);
        let time = f64::from_le_bytes(data[second + 13..][..8].try_into().unwrap());
        assert!(time >= 4_102_444_801.0, "{time}");
    }

    #[test]
    fn the_checksum_is_castagnolis() {
        // The check value of CRC-32C.
        assert_eq!(crc32c::crc32c(b"123456789"), 0xe306_9283);
    }
}
