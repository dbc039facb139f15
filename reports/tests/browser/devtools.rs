//! A headless Chromium, driven over the DevTools protocol.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

/// A page in its own browser.
pub struct Browser {
    child: Child,
    socket: WebSocket<TcpStream>,
    session: Option<String>,
    next: u64,
    /// Exceptions, console messages, refused resources and dialogs of the page.
    pub complaints: Vec<String>,
    _profile: tempfile::TempDir,
}

/// The browser's program: what `CHROMIUM` names, or the first of the usual names on the path.
fn program() -> PathBuf {
    if let Some(named) = std::env::var_os("CHROMIUM") {
        return PathBuf::from(named);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let names = ["chromium", "chromium-browser", "google-chrome", "chrome"];
    let all = names.iter().flat_map(|n| folders.iter().map(move |d| d.join(n)));
    all.into_iter().find(|p| p.is_file()).expect("no Chromium on the path")
}

impl Browser {
    /// Starts the browser with an empty page.
    pub fn start() -> Browser {
        let profile = tempfile::tempdir().unwrap();
        let child = Command::new(program())
            .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--remote-debugging-port=0"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let file = profile.path().join("DevToolsActivePort");
        let start = Instant::now();
        let (port, path) = loop {
            let text = std::fs::read_to_string(&file).unwrap_or_default();
            if let Some((port, path)) = text.split_once('\n').filter(|(_, path)| path.contains("/browser/")) {
                break (port.to_owned(), path.trim().to_owned());
            }
            assert!(start.elapsed() < Duration::from_secs(60), "the browser did not open its port");
            std::thread::sleep(Duration::from_millis(50));
        };
        let stream = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let (socket, _) = tungstenite::client(format!("ws://127.0.0.1:{port}{path}"), stream).unwrap();
        let mut b = Browser { child, socket, session: None, next: 0, complaints: Vec::new(), _profile: profile };
        let target = b.call("Target.createTarget", json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        b.session = b.call("Target.attachToTarget", attach)["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log"] {
            b.call(&format!("{domain}.enable"), json!({}));
        }
        b
    }

    /// Calls a method and waits for its answer; keeps complaints that arrive meanwhile.
    pub fn call(&mut self, method: &str, params: Value) -> Value {
        self.next += 1;
        let id = self.next;
        let mut call = json!({ "id": id, "method": method, "params": params });
        if let Some(session) = &self.session {
            call["sessionId"] = json!(session);
        }
        self.socket.send(Message::text(call.to_string())).unwrap();
        loop {
            let Message::Text(text) = self.socket.read().unwrap() else { continue };
            let answer: Value = serde_json::from_str(&text).unwrap();
            if answer["id"] == json!(id) {
                assert!(answer["error"].is_null(), "{method}: {}", answer["error"]);
                return answer["result"].clone();
            }
            self.note(&answer);
        }
    }

    fn note(&mut self, event: &Value) {
        let params = &event["params"];
        let text = match event["method"].as_str() {
            Some("Runtime.exceptionThrown") => params["exceptionDetails"].to_string(),
            Some("Runtime.consoleAPICalled") => params["args"].to_string(),
            Some("Log.entryAdded") => params["entry"].to_string(),
            Some("Page.javascriptDialogOpening") => format!("a dialog: {params}"),
            _ => return,
        };
        self.complaints.push(text);
    }

    /// Opens a file in a window of the given size, px, in light or dark.
    pub fn open(&mut self, file: &Path, (width, height): (u32, u32), dark: bool) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", size);
        let scheme = json!({ "name": "prefers-color-scheme", "value": if dark { "dark" } else { "light" } });
        self.call("Emulation.setEmulatedMedia", json!({ "features": [scheme] }));
        self.call("Page.navigate", json!({ "url": format!("file://{}", file.display()) }));
        self.until("document.readyState === 'complete' && location.protocol === 'file:'");
    }

    /// The value of an expression in the page.
    pub fn eval(&mut self, expression: &str) -> Value {
        let call = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let found = self.call("Runtime.evaluate", call);
        assert!(found["exceptionDetails"].is_null(), "{expression}: {}", found["exceptionDetails"]);
        found["result"]["value"].clone()
    }

    /// Waits until an expression holds.
    pub fn until(&mut self, expression: &str) {
        let start = Instant::now();
        while self.eval(expression) != json!(true) {
            assert!(start.elapsed() < Duration::from_secs(30), "never: {expression}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The middle of the first element of a selector, scrolled into view, in px of the window.
    pub fn middle(&mut self, selector: &str) -> (f64, f64) {
        let found = self.eval(&format!(
            "(() => {{ const e = document.querySelector({}); e.scrollIntoView({{ block: 'center' }}); \
             const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]; }})()",
            json!(selector)
        ));
        (found[0].as_f64().unwrap(), found[1].as_f64().unwrap())
    }

    /// Moves the mouse onto an element.
    pub fn hover(&mut self, selector: &str) {
        let (x, y) = self.middle(selector);
        self.call("Input.dispatchMouseEvent", json!({ "type": "mouseMoved", "x": x, "y": y }));
    }

    /// Clicks an element with the mouse.
    pub fn click(&mut self, selector: &str) {
        let (x, y) = self.middle(selector);
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({ "type": kind, "x": x, "y": y, "button": "left", "clickCount": 1 });
            self.call("Input.dispatchMouseEvent", event);
        }
    }

    /// Presses a key while an element has the focus.
    pub fn press(&mut self, selector: &str, key: &str) {
        self.eval(&format!("document.querySelector({}).focus()", json!(selector)));
        let code = match key {
            "Enter" => 13,
            "Escape" => 27,
            "ArrowLeft" => 37,
            "ArrowRight" => 39,
            "ArrowDown" => 40,
            _ => 0,
        };
        for kind in ["rawKeyDown", "keyUp"] {
            let event = json!({ "type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code });
            self.call("Input.dispatchKeyEvent", event);
        }
    }

    /// The text of the first element of a selector; empty if it is hidden or not there.
    pub fn text(&mut self, selector: &str) -> String {
        let found = self
            .eval(&format!("(e => e?.innerText ?? e?.textContent ?? '')(document.querySelector({}))", json!(selector)));
        found.as_str().unwrap_or_default().to_owned()
    }

    /// Number of elements of a selector.
    pub fn count(&mut self, selector: &str) -> usize {
        self.eval(&format!("document.querySelectorAll({}).length", json!(selector))).as_u64().unwrap() as usize
    }

    /// Saves what the window shows as PNG, below the folder that `REPORTS_LOOK` names, if it names one.
    pub fn shot(&mut self, name: &str) {
        use base64::Engine as _;
        let Some(look) = std::env::var_os("REPORTS_LOOK") else { return };
        let found = self.call("Page.captureScreenshot", json!({ "format": "png" }));
        let bytes = base64::engine::general_purpose::STANDARD.decode(found["data"].as_str().unwrap()).unwrap();
        std::fs::create_dir_all(&look).unwrap();
        std::fs::write(Path::new(&look).join(format!("{name}.png")), bytes).unwrap();
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The profile's folder goes away only after the browser has.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
