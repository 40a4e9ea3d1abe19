//! Runs the tour of `README.md`, and the walks of `docs/tour-agreements.md` and `docs/record-types.md`, with the program
//! that was built, in a directory of its own.
//!
//! A tour is made of the lines that begin with `$ ` in the console blocks of its section. It has three parts: what comes
//! before the exchange runs, the command that ends in `&`, which is the exchange, and everything after it. The exchange
//! gets a free port here, and the callers are told where it is.

use std::{
    env,
    ffi::OsString,
    fs::{self, File},
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// Where the README has the exchange listen.
const ADDRESS: &str = "127.0.0.1:8443";

fn document(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The commands of a section, in order. A line that ends in `\` goes on in the next one.
fn commands(document: &str, heading: &str) -> Vec<String> {
    let section = document.split_once(heading).unwrap().1.split("\n## ").next().unwrap();
    let mut commands: Vec<String> = Vec::new();
    let (mut console, mut goes_on) = (false, false);
    for line in section.lines() {
        if line.starts_with("```") {
            console = line == "```console";
        } else if console && goes_on {
            let command = commands.last_mut().unwrap();
            command.push('\n');
            command.push_str(line);
            goes_on = line.ends_with('\\');
        } else if let Some(command) = line.strip_prefix("$ ").filter(|_| console) {
            commands.push(command.to_owned());
            goes_on = command.ends_with('\\');
        }
    }
    commands
}

/// Where the commands run: an empty directory, and a path on which the program is found.
struct Place {
    directory: tempfile::TempDir,
    path: OsString,
}

impl Place {
    fn new() -> Self {
        let program = PathBuf::from(env!("CARGO_BIN_EXE_concordat"));
        let mut paths = vec![program.parent().unwrap().to_path_buf()];
        paths.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
        Self { directory: tempfile::tempdir().unwrap(), path: env::join_paths(paths).unwrap() }
    }

    fn bash(&self, script: &str) -> Command {
        let mut command = Command::new("bash");
        command.args(["-euxo", "pipefail", "-c", script]).current_dir(self.directory.path());
        command.env("PATH", &self.path).env("HOME", self.directory.path()).stdin(Stdio::null());
        for (name, _) in env::vars_os() {
            if name.to_string_lossy().starts_with("CONCORDAT_") {
                command.env_remove(name);
            }
        }
        command
    }

    /// Runs commands one after the other; each must succeed.
    fn run(&self, commands: &[String], endpoint: Option<&str>) {
        let mut command = self.bash(&commands.join("\n"));
        if let Some(endpoint) = endpoint {
            command.env("CONCORDAT_ENDPOINT", endpoint);
        }
        let output = command.output().unwrap();
        let (said, printed) =
            (String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
        assert!(output.status.success(), "{}\n{said}\n{printed}", output.status);
    }
}

/// An exchange that ends with the test, whatever happens.
struct Exchange {
    child: Child,
    endpoint: String,
}

impl Exchange {
    fn start(place: &Place, exports: &[String], command: &str) -> Self {
        let command = command.trim_end_matches('&').trim_end().replace(ADDRESS, "127.0.0.1:0");
        let script = format!("{}\nexec {command} --output ndjson", exports.join("\n"));
        let log = File::create(place.directory.path().join("exchange.log")).unwrap();
        let mut child = place.bash(&script).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut line = String::new();
        let read = BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let mut log = String::new();
        File::open(place.directory.path().join("exchange.log"))
            .and_then(|mut file| file.read_to_string(&mut log))
            .unwrap();
        assert_ne!(read, 0, "the exchange did not start:\n{log}");
        let told: serde_json::Value = serde_json::from_str(&line).unwrap();
        let endpoint = told.get("endpoint").and_then(serde_json::Value::as_str).unwrap().to_owned();
        Self { child, endpoint }
    }

    /// Asks it to stop, and holds that it does so in order.
    fn stop(mut self) {
        let asked = Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        assert!(asked.success());
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Plays commands, one of which is the exchange.
fn play(commands: &[String]) {
    let serve = commands.iter().position(|command| command.ends_with(" &")).unwrap();
    let (before, rest) = commands.split_at(serve);
    let (serve, after) = rest.split_first().unwrap();
    assert!(!before.is_empty() && 10 < after.len(), "{commands:?}");
    let place = Place::new();
    place.run(before, None);
    let exports: Vec<String> =
        before.iter().filter(|command| command.starts_with("export ")).cloned().collect();
    let exchange = Exchange::start(&place, &exports, serve);
    place.run(&[exports, after.to_vec()].concat(), Some(&exchange.endpoint));
    exchange.stop();
}

#[test]
fn the_tour_of_the_readme_runs() {
    play(&commands(&document("README.md"), "\n## A tour"));
}

#[test]
fn the_walk_through_agreements_runs() {
    let tour = commands(&document("README.md"), "\n## A tour");
    let joined = tour.iter().position(|command| command.ends_with("agency ls")).unwrap();
    let walk = commands(&document("docs/tour-agreements.md"), "\n## The walk");
    assert!(40 < walk.len(), "{walk:?}");
    let (enrolment, _) = tour.split_at(joined);
    play(&[enrolment, &walk].concat());
}

/// The quotes of a document: what their fence names, and their text.
fn quotes(document: &str) -> Vec<(&str, String)> {
    let mut quotes: Vec<(&str, String)> = Vec::new();
    let mut open = false;
    for line in document.lines() {
        match (line.strip_prefix("```"), open) {
            (Some(_), true) => open = false,
            (Some(named), false) => {
                quotes.push((named, String::new()));
                open = true;
            }
            (None, true) => {
                let text = &mut quotes.last_mut().unwrap().1;
                text.push_str(line);
                text.push('\n');
            }
            (None, false) => {}
        }
    }
    quotes
}

#[test]
fn the_walk_through_a_record_type_quotes_what_is_there_and_its_commands_run() {
    let walk = document("docs/record-types.md");
    let mut found = quotes(&walk);
    found.retain(|(named, _)| *named != "console");
    for (named, text) in &found {
        let path = match named.split_once(' ').unwrap() {
            ("proto", name) => format!("proto/concordat/record/v1/{name}.proto"),
            ("rust", "types") => "src/record/types.rs".to_owned(),
            ("rust", name) => format!("src/record/types/{name}.rs"),
            (_, name) => format!("src/record/types/{name}.txt"),
        };
        assert!(document(&path).contains(text.as_str()), "{path} does not say:\n{text}");
    }
    assert_eq!(found.len(), 6);
    let commands = commands(&walk, "\n## In a table, in JSON");
    assert!(7 < commands.len(), "{commands:?}");
    Place::new().run(&commands, None);
}
