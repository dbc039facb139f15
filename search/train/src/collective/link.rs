//! Who of the processes has ended. Gloo notices only that a connection is closed, on the ranks that wait for it, and says
//! neither whose nor tells the others. So each rank keeps one more connection to rank 0: the kernel closes it when the process
//! ends, however it ends, and rank 0 tells all the others which one it was.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, ErrorKind, Write as _};
use std::net::{IpAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mobilenas_host::errln;
use mobilenas_host::stop::exit_at_once;
use mobilenas_native::Store;

use super::Ranks;

/// Between two signs of life.
const BEAT: Duration = Duration::from_secs(5);

/// After so long without one, a rank's host counts as lost.
const SILENCE: Duration = Duration::from_secs(60);

/// How often rank 0 looks for a new connection.
const LOOK: Duration = Duration::from_millis(5);

/// Under which key rank 0 says where it listens.
const KEY: &str = "link";

/// Exit code of a process that ends because another one has.
const ENDED: i32 = 1;

/// The connections to rank 0; on rank 0, those to all others.
#[derive(Debug)]
pub(super) struct Link {
    shared: Arc<Shared>,
    address: Option<String>,
}

#[derive(Debug)]
struct Shared {
    rank: usize,
    /// This process has done its part.
    left: AtomicBool,
    peers: Vec<Peer>,
    /// Held by who ends this process.
    ending: Mutex<()>,
    /// What was said and not yet heard: what comes next, on rank 0 the answers of the others.
    orders: Mutex<VecDeque<String>>,
    arrived: Condvar,
}

#[derive(Debug)]
struct Peer {
    rank: usize,
    /// The process in words.
    name: String,
    write: Mutex<TcpStream>,
}

impl Link {
    /// Connects.
    pub(super) fn open(store: &Store, of: &Ranks, timeout: Duration) -> Result<Link, String> {
        let ends = Instant::now() + timeout;
        let (peers, address) = match of.rank {
            0 => accept(store, of, ends)?,
            _ => connect(store, of, timeout)?,
        };
        let shared = Arc::new(Shared {
            rank: of.rank,
            left: AtomicBool::new(false),
            peers,
            ending: Mutex::default(),
            orders: Mutex::default(),
            arrived: Condvar::new(),
        });
        for at in 0..shared.peers.len() {
            let from = lock(&shared.peers[at].write).try_clone().map_err(|e| e.to_string())?;
            from.set_read_timeout(Some(SILENCE)).map_err(|e| e.to_string())?;
            from.set_write_timeout(Some(BEAT)).map_err(|e| e.to_string())?;
            let shared = shared.clone();
            std::thread::spawn(move || shared.listen(at, from));
        }
        let beating = shared.clone();
        std::thread::spawn(move || {
            while !beating.left.load(Ordering::SeqCst) {
                std::thread::sleep(BEAT);
                beating.tell("alive");
            }
        });
        Ok(Link { shared, address })
    }

    /// The address under which other ranks reach this process; none if that of the host's name has to serve.
    pub(super) fn address(&self) -> Option<String> {
        self.address.clone()
    }

    /// Tells the others what comes next; those tell rank 0 what came of it.
    pub(super) fn lead(&self, order: &str) {
        self.shared.tell(&format!("next {order}"));
    }

    /// What was said first of what was not yet heard; waits for it.
    pub(super) fn follow(&self) -> String {
        let mut orders = lock(&self.shared.orders);
        loop {
            match orders.pop_front() {
                Some(order) => return order,
                None => orders = self.shared.arrived.wait(orders).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    /// This process has done its part; the others may end, too.
    pub(super) fn leave(&self) {
        self.shared.left.store(true, Ordering::SeqCst);
        self.shared.tell("bye");
    }

    /// This process ends because something failed.
    pub(super) fn fail(&self, message: &str) {
        let _ending = lock(&self.shared.ending);
        self.shared.left.store(true, Ordering::SeqCst);
        self.shared.tell(&failure(&format!("rank {}: {message}", self.shared.rank)));
    }
}

fn failure(message: &str) -> String {
    format!("failed {}", message.replace('\n', " "))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// Writes a line to all. Who cannot be reached has ended, and the thread that listens to it knows.
    fn tell(&self, line: &str) {
        for peer in &self.peers {
            let _ = lock(&peer.write).write_all(format!("{line}\n").as_bytes());
        }
    }

    /// Why this process ends when that one has.
    fn lost(peer: &Peer, how: &str) -> String {
        let rest = "--resume goes on from the last checkpoint, with any number of processes";
        format!("rank {} ({}) {how}; {rest}", peer.rank, peer.name)
    }

    /// Listens to a peer until it has ended.
    fn listen(&self, at: usize, from: TcpStream) {
        let (peer, mut lines, mut line) = (&self.peers[at], BufReader::new(from), String::new());
        loop {
            line.clear();
            let why = match lines.read_line(&mut line) {
                Ok(n) if n > 0 && line.ends_with('\n') => match line.trim_end() {
                    "bye" => return,
                    told => match told.split_once(' ') {
                        Some(("failed", message)) => message.to_string(),
                        Some(("next", order)) => {
                            lock(&self.orders).push_back(order.to_string());
                            self.arrived.notify_all();
                            continue;
                        }
                        _ => continue,
                    },
                },
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    Shared::lost(peer, &format!("gave no sign of life for {} s", SILENCE.as_secs()))
                }
                Ok(_) | Err(_) => Shared::lost(peer, "has ended"),
            };
            return self.end(&why);
        }
    }

    /// Ends this process, and before it, on rank 0, all others.
    fn end(&self, why: &str) {
        let _ending = lock(&self.ending);
        if self.left.load(Ordering::SeqCst) {
            return;
        }
        if self.rank == 0 {
            self.tell(&failure(why));
        }
        errln!("error: {why}");
        // The main thread may wait in a collective for ever.
        exit_at_once(ENDED);
    }
}

/// This process in words.
fn own_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("process {} on {}", std::process::id(), host.trim())
}

/// The connections of rank 0, once all others have come.
fn accept(store: &Store, of: &Ranks, ends: Instant) -> Result<(Vec<Peer>, Option<String>), String> {
    let text = |e: std::io::Error| e.to_string();
    let listener = TcpListener::bind(("::", 0)).or_else(|_| TcpListener::bind(("0.0.0.0", 0))).map_err(text)?;
    listener.set_nonblocking(true).map_err(text)?;
    // A stranger that happens to connect does not know it.
    let word = format!("{}-{}", std::process::id(), mobilenas_host::unix_now());
    let port = listener.local_addr().map_err(text)?.port();
    store.set(KEY, &format!("{port} {word}")).map_err(|e| e.to_string())?;
    let mut peers: Vec<(Peer, [IpAddr; 2])> = Vec::new();
    while peers.len() + 1 < of.ranks {
        if Instant::now() > ends {
            let missing: Vec<String> =
                (1..of.ranks).filter(|r| peers.iter().all(|(p, _)| p.rank != *r)).map(|r| r.to_string()).collect();
            return Err(format!("waited in vain for rank {}", missing.join(", ")));
        }
        match listener.accept() {
            Ok((stream, _)) => peers.extend(greeted(stream, &word, of.ranks)),
            Err(e) if e.kind() == ErrorKind::WouldBlock => std::thread::sleep(LOOK),
            Err(e) => return Err(e.to_string()),
        }
        if let Some((gone, _)) = peers.iter().find(|(peer, _)| closed(&lock(&peer.write))) {
            let why = format!("rank {} ({}) has ended before all had come", gone.rank, gone.name);
            for (peer, _) in &peers {
                // That of the one that has ended takes nothing.
                let _ = lock(&peer.write).write_all(format!("{}\n", failure(&why)).as_bytes());
            }
            return Err(why);
        }
    }
    peers.sort_by_key(|(peer, _)| peer.rank);
    if peers.iter().enumerate().any(|(i, (peer, _))| peer.rank != i + 1) {
        return Err("two processes have the same rank".to_string());
    }
    let one_host = peers.iter().all(|(_, [_, theirs])| theirs.is_loopback());
    let own: Vec<IpAddr> = peers.iter().map(|(_, [own, _])| *own).collect();
    for (peer, _) in &peers {
        let line = format!("welcome {one_host} {}\n", own_name());
        lock(&peer.write).write_all(line.as_bytes()).map_err(|e| format!("rank {}: {e}", peer.rank))?;
    }
    let address = own.iter().find(|ip| !ip.is_loopback() || one_host).map(ToString::to_string);
    Ok((peers.into_iter().map(|(peer, _)| peer).collect(), address))
}

/// A process that has connected and said who it is; with its address and ours.
fn greeted(stream: TcpStream, word: &str, ranks: usize) -> Option<(Peer, [IpAddr; 2])> {
    stream.set_nonblocking(false).and_then(|()| stream.set_read_timeout(Some(BEAT))).ok()?;
    stream.set_nodelay(true).ok()?;
    let line = read_line(&stream).ok()?;
    let mut words = line.splitn(3, ' ');
    if words.next() != Some(word) {
        return None;
    }
    let rank = words.next()?.parse().ok().filter(|rank| (1..ranks).contains(rank))?;
    let name = words.next()?.to_string();
    let ips = [stream.local_addr().ok()?.ip().to_canonical(), stream.peer_addr().ok()?.ip().to_canonical()];
    Some((Peer { rank, name, write: Mutex::new(stream) }, ips))
}

/// The connection of another rank to rank 0, once all have come.
fn connect(store: &Store, of: &Ranks, timeout: Duration) -> Result<(Vec<Peer>, Option<String>), String> {
    let where_ = store.get(KEY).map_err(|e| format!("rank 0 does not say where it listens: {e}"))?;
    let (port, word) = where_.split_once(' ').ok_or_else(|| format!("rank 0 listens at {where_:?}"))?;
    let port: u16 = port.parse().map_err(|_| format!("rank 0 listens at {where_:?}"))?;
    let text = |e: std::io::Error| format!("rank 0 at port {port}: {e}");
    let mut stream = TcpStream::connect((of.address.as_str(), port)).map_err(text)?;
    stream.set_nodelay(true).map_err(text)?;
    stream.set_read_timeout(Some(timeout)).map_err(text)?;
    stream.write_all(format!("{word} {} {}\n", of.rank, own_name()).as_bytes()).map_err(text)?;
    let line = read_line(&stream).map_err(text)?;
    let Some((one_host, name)) = line.strip_prefix("welcome ").and_then(|rest| rest.split_once(' ')) else {
        let why = line.strip_prefix("failed ").unwrap_or("rank 0 has ended before all had come");
        return Err(why.to_string());
    };
    let own = stream.local_addr().map_err(text)?.ip().to_canonical();
    let address = (!own.is_loopback() || one_host == "true").then(|| own.to_string());
    Ok((vec![Peer { rank: 0, name: name.to_string(), write: Mutex::new(stream) }], address))
}

/// Whether the other end, which says nothing yet, has closed a connection.
fn closed(stream: &TcpStream) -> bool {
    let looked = stream.set_nonblocking(true).and_then(|()| stream.peek(&mut [0]));
    let back = stream.set_nonblocking(false);
    back.is_err() || !matches!(looked, Err(e) if e.kind() == ErrorKind::WouldBlock)
}

/// One line, byte by byte: what follows is left for who listens.
fn read_line(mut stream: &TcpStream) -> std::io::Result<String> {
    use std::io::Read as _;
    let (mut line, mut byte) = (Vec::new(), [0u8]);
    while stream.read(&mut byte)? == 1 && byte[0] != b'\n' {
        line.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&line).into_owned())
}
