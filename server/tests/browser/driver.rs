//! A headless browser that tests drive over WebDriver.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

/// A headless Chromium, driven by chromedriver over WebDriver (W3C).
pub struct Browser {
    driver: Child,
    address: SocketAddr,
    session: String,
    /// The browser's process, which does not always end with the session.
    process: Option<Pid>,
}

impl Browser {
    /// Starts a browser. Without chromedriver it returns `None` and prints the reason; with `CI=true` in the environment, it panics.
    pub fn start() -> Option<Self> {
        // chromedriver takes a free port of IPv4, binds the same port of IPv6, and ends if that is in use. So it is started up to five times.
        let started = || (0..5).find_map(|_| driver().transpose()).expect("chromedriver prints its port");
        let (driver, port) = match started() {
            Ok(started) => started,
            Err(error) => {
                assert!(std::env::var("CI").as_deref() != Ok("true"), "CI needs chromedriver: {error}");
                // Written directly, since the test harness captures what `eprintln!` prints.
                let _ = writeln!(std::io::stderr(), "skipped: chromedriver is not available ({error})");
                return None;
            }
        };
        let mut browser =
            Self { driver, address: SocketAddr::from(([127, 0, 0, 1], port)), session: String::new(), process: None };
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            // The page then draws once a second only, which leaves the processors to what is tested.
            "--force-prefers-reduced-motion",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
        ];
        let capabilities = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome", "acceptInsecureCerts": true, "goog:loggingPrefs": { "browser": "ALL" }, "goog:chromeOptions": { "args": arguments } } } });
        let created = browser.post("/session", &capabilities);
        let process = created["capabilities"]["goog:processID"].as_i64();
        browser.process = process.and_then(|process| Pid::from_raw(process.try_into().ok()?));
        browser.session = created["sessionId"].as_str().expect("a session").into();
        Some(browser)
    }

    /// The errors in the browser's console since the last call.
    pub fn console_errors(&self) -> Vec<String> {
        let log = self.post(&format!("/session/{}/se/log", self.session), &json!({ "type": "browser" }));
        let errors = log.as_array().unwrap().iter().filter(|entry| entry["level"] == "SEVERE");
        errors.map(|entry| entry["message"].as_str().unwrap_or_default().to_string()).collect()
    }

    /// Sets the window's inner size, in pixels.
    pub fn resize(&self, width: u32, height: u32) {
        let size = json!({ "width": width, "height": height });
        self.post(&format!("/session/{}/window/rect", self.session), &size);
    }

    fn get(&self, path: &str) -> Value {
        self.request("GET", path, "")
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        self.request("POST", path, &body.to_string())
    }

    fn request(&self, method: &str, path: &str, body: &str) -> Value {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let headers = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n",
            self.address,
            body.len()
        );
        stream.write_all(headers.as_bytes()).unwrap();
        stream.write_all(body.as_bytes()).unwrap();
        let mut stream = BufReader::new(stream);
        let (mut line, mut length) = (String::new(), 0);
        while stream.read_line(&mut line).unwrap() > 2 {
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().unwrap();
            }
            line.clear();
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).unwrap();
        let mut response: Value = serde_json::from_slice(&body).unwrap();
        assert!(response["value"]["error"].is_null(), "{response}");
        response["value"].take()
    }

    /// Opens a page.
    pub fn open(&self, url: &str) {
        self.post(&format!("/session/{}/url", self.session), &json!({ "url": url }));
    }

    /// Opens a page that redirects, and waits until the browser is at an address that contains `path`.
    pub fn follow(&self, url: &str, path: &str) {
        self.open(url);
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let url = self.get(&format!("/session/{}/url", self.session));
            if url.as_str().is_some_and(|url| url.contains(path)) {
                return;
            }
            assert!(Instant::now() < deadline, "{url} does not lead to {path}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Opens another tab in front of the open ones.
    pub fn new_tab(&self) {
        let tab = self.post(&format!("/session/{}/window/new", self.session), &json!({ "type": "tab" }));
        self.show_tab(tab["handle"].as_str().expect("a handle"));
    }

    /// Brings a tab to the front. Open tabs are numbered from 0 in the order in which they were opened.
    pub fn show_tab_number(&self, number: usize) {
        let tabs = self.get(&format!("/session/{}/window/handles", self.session));
        self.show_tab(tabs[number].as_str().expect("a handle"));
    }

    /// Closes the tab in front.
    pub fn close_tab(&self) {
        self.request("DELETE", &format!("/session/{}/window", self.session), "");
    }

    /// Sets the size of the viewport, in pixels; it may be larger than the screen.
    pub fn set_viewport(&self, width: u32, height: u32) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.command("Emulation.setDeviceMetricsOverride", &size);
    }

    /// Shows pages with the styles for print.
    pub fn emulate_print(&self) {
        self.command("Emulation.setEmulatedMedia", &json!({ "media": "print" }));
    }

    /// Shows pages as for users who prefer `light` or `dark` colours.
    pub fn emulate_colour_scheme(&self, scheme: &str) {
        let feature = json!({ "name": "prefers-color-scheme", "value": scheme });
        self.command("Emulation.setEmulatedMedia", &json!({ "features": [feature] }));
    }

    /// Takes the network away from this tab; only files can be loaded then.
    pub fn disconnect(&self) {
        self.command("Network.enable", &json!({}));
        let offline = json!({ "offline": true, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0 });
        self.command("Network.emulateNetworkConditions", &offline);
    }

    /// Runs a script in each page that this tab opens from now on, before the page's own scripts.
    pub fn before_each_page(&self, script: &str) {
        self.command("Page.addScriptToEvaluateOnNewDocument", &json!({ "source": script }));
    }

    /// Sends a command of the DevTools protocol to the tab in front.
    fn command(&self, name: &str, parameters: &Value) {
        let command = json!({ "cmd": name, "params": parameters });
        self.post(&format!("/session/{}/goog/cdp/execute", self.session), &command);
    }

    fn show_tab(&self, handle: &str) {
        self.post(&format!("/session/{}/window", self.session), &json!({ "handle": handle }));
    }

    /// Prints the page as PDF, on sheets of that size in CSS pixels.
    pub fn print(&self, width: f64, height: f64) -> Vec<u8> {
        const CM: f64 = 2.54 / 96.0;
        let none = json!({ "top": 0, "bottom": 0, "left": 0, "right": 0 });
        let sheet =
            json!({ "page": { "width": width * CM, "height": height * CM }, "margin": none, "background": true });
        let printed = self.post(&format!("/session/{}/print", self.session), &sheet);
        base64(printed.as_str().expect("a PDF in base64"))
    }

    /// Runs a script that passes its result to `done`; returns the result.
    pub fn run(&self, script: &str) -> Value {
        let script = format!("const done = arguments[arguments.length - 1];\n{script}");
        self.post(&format!("/session/{}/execute/async", self.session), &json!({ "script": script, "args": [] }))
    }
}

fn base64(text: &str) -> Vec<u8> {
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let digits: Vec<u8> = text.trim_end_matches('=').bytes().map(digit).collect();
    let bits =
        |group: &[u8]| group.iter().fold(0u32, |bits, &digit| bits << 6 | u32::from(digit)) << (6 * (4 - group.len()));
    digits.chunks(4).flat_map(|group| bits(group).to_be_bytes()[1..group.len()].to_vec()).collect()
}

impl Drop for Browser {
    fn drop(&mut self) {
        if let Some(process) = self.process {
            let _ = kill_process(process, Signal::KILL);
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// Starts chromedriver on a free port; `None` if it ended before it was ready.
fn driver() -> std::io::Result<Option<(Child, u16)>> {
    let mut command = Command::new("chromedriver");
    let mut driver = command.arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    // "ChromeDriver was started successfully on port 12345."
    let lines = BufReader::new(driver.stdout.take().unwrap()).lines().map_while(Result::ok);
    let port = lines
        .filter_map(|line| line.split_once("successfully on port ")?.1.trim_end_matches('.').parse::<u16>().ok())
        .next();
    if port.is_none() {
        driver.wait()?;
    }
    Ok(port.map(|port| (driver, port)))
}
