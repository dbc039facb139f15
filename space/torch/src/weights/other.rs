//! What a file is that is no weights file: people name these as one all the time.

/// How other kinds of files begin, and what they are.
const BEGINNINGS: [(&[u8], &str); 14] = [
    (&[0x1f, 0x8b], "a gzip archive, to be unpacked first"),
    (b"BZh", "a bzip2 archive, to be unpacked first"),
    (&[0xfd, b'7', b'z', b'X', b'Z', 0], "an xz archive, to be unpacked first"),
    (&[0x28, 0xb5, 0x2f, 0xfd], "a zstd archive, to be unpacked first"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive, to be unpacked first"),
    (b"Rar!", "a RAR archive, to be unpacked first"),
    (b"PK\x05\x06", "an empty zip"),
    (b"\x89HDF\r\n", "an HDF5 file, as Keras writes them"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"GGUF", "a GGUF file"),
    (b"\x89PNG", "a PNG image"),
    (&[0xff, 0xd8, 0xff], "a JPEG image"),
    (b"{", "a JSON file that is no index of shards"),
    (b"[", "a JSON file that is no index of shards"),
];

/// What a file is by its first bytes; `None` if it may be a weights file.
pub fn what(begin: &[u8]) -> Option<String> {
    if let Some(rest) = begin.strip_prefix(b"version https://git-lfs") {
        let text = String::from_utf8_lossy(rest);
        let size =
            text.lines().find_map(|l| l.strip_prefix("size ")).map_or_else(String::new, |s| format!(" of {s} bytes"));
        return Some(format!("a Git LFS pointer to a file{size} that was not fetched (`git lfs pull` fetches it)"));
    }
    if let Some((_, what)) = BEGINNINGS.iter().find(|(b, _)| begin.starts_with(b)) {
        return Some((*what).to_string());
    }
    match begin {
        [] => return Some("an empty file".to_string()),
        [0x80, 2..=5, ..] => return Some("a pickle that torch.save did not write".to_string()),
        // The version of the format, then the program that wrote it.
        [8, 3..=20, 0x12, ..] => return Some("an ONNX file".to_string()),
        _ => {}
    }
    if begin.get(4..8) == Some(b"TFL3") {
        return Some("a TensorFlow Lite file".to_string());
    }
    if begin.get(257..262) == Some(b"ustar") {
        return Some("a tar archive, to be unpacked first".to_string());
    }
    let text = String::from_utf8_lossy(begin).trim_start_matches('\u{feff}').trim_start().to_ascii_lowercase();
    let html = text.starts_with("<!doctype html") || text.starts_with("<html");
    match text.starts_with('<') {
        true if html => Some("a web page (HTML), not the file that a link on it leads to".to_string()),
        true if text.starts_with("<?xml") => Some("an XML document, as servers send instead of a file".to_string()),
        _ => None,
    }
}
