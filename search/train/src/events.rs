//! CheckpointFiles that TensorBoard reads: records of length, masked CRC-32C and a protocol buffer `Event`
//! (tensorflow/core/util/event.proto and tensorflow/core/lib/io/record_writer.h describe both).

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// A file of events open for writing.
#[derive(Debug)]
pub struct Events(File);

impl Events {
    /// Makes a new file in a folder; its name says from which step on, and when.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn create(folder: &Path, step: u64) -> io::Result<Events> {
        fs::create_dir_all(folder)?;
        let (seconds, nanos) =
            SystemTime::now().duration_since(UNIX_EPOCH).map_or((0, 0), |d| (d.as_secs(), d.subsec_nanos()));
        let path = folder.join(format!("events.out.tfevents.{seconds}.{nanos}.step{step}"));
        let mut events = Events(OpenOptions::new().create_new(true).write(true).open(path)?);
        // Field 3 of an event: the version of the file.
        let mut event = stamped();
        bytes(&mut event, 3, b"brain.Event:2");
        events.record(&event)?;
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
        let mut event = stamped();
        event.push(2 << 3);
        varint(&mut event, step);
        bytes(&mut event, 5, &summary);
        self.record(&event)
    }

    fn record(&mut self, event: &[u8]) -> io::Result<()> {
        let length = (event.len() as u64).to_le_bytes();
        let mut out = length.to_vec();
        out.extend(masked(&length).to_le_bytes());
        out.extend(event);
        out.extend(masked(event).to_le_bytes());
        self.0.write_all(&out)
    }
}

/// An event with its time: field 1, seconds since 1970.
fn stamped() -> Vec<u8> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64());
    let mut out = vec![1 << 3 | 1];
    out.extend(now.to_le_bytes());
    out
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
        let mut events = Events::create(dir.path(), 7).unwrap();
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
    fn the_checksum_is_castagnolis() {
        // The check value of CRC-32C.
        assert_eq!(crc32c::crc32c(b"123456789"), 0xe306_9283);
    }
}
