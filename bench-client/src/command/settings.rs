//! Options of a comparison that come from a file: from a scenario in TOML (`--scenario`), or from the result of an earlier run (`--again`). What
//! is given on the command line, too, has precedence.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use anyhow::{Context, bail, ensure};
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgAction, ArgMatches, Args, Command, FromArgMatches};
use protocol::result::{Headers, Scenario};
use protocol::run::Run;
use toml::de::{DeTable, DeValue};

use super::compare::Options;
use super::conditions;

/// Options that select the file, or belong to one invocation only.
const NOT_IN_FILES: [&str; 2] = ["scenario", "again"];

/// An option from a file: its name without the dashes, and its value; `None` for an option without a value.
struct Setting {
    name: String,
    value: Option<String>,
    /// Where it comes from, for error messages: file and line.
    place: String,
}

impl Setting {
    fn argument(&self) -> String {
        match &self.value {
            Some(value) => format!("--{}={value}", self.name),
            None => format!("--{}", self.name),
        }
    }
}

/// The options of the command line `given`, which follow the name of the command, completed from the file that they name.
///
/// # Errors
/// When the file cannot be read, or has an option that does not exist or a wrong value: with file and line.
pub fn completed(options: Options, given: &[OsString]) -> anyhow::Result<Options> {
    let settings = match (&options.scenario, &options.again) {
        (Some(path), _) => of_scenario(path)?,
        (_, Some(path)) => of_run(path, &conditions::run(path)?)?,
        (None, None) => return Ok(options),
    };
    let matches = parse(given.iter().cloned()).map_err(|error| anyhow::anyhow!(first_line(&error)))?;
    // A server at a URL has its own settings, whatever those of the earlier run were.
    let at_url = is_given(&matches, "url");
    let of_server =
        |name: &str| at_url && ["rate", "schedule", "payload", "payload-kind", "threads", "tls"].contains(&name);
    let from_file = settings.iter().filter(|setting| !is_given(&matches, &setting.name) && !of_server(&setting.name));
    let arguments = from_file.map(|setting| setting.argument().into()).chain(given.iter().cloned());
    let matches = parse(arguments).map_err(|error| anyhow::anyhow!(first_line(&error)))?;
    Ok(Options::from_arg_matches(&matches)?)
}

fn command() -> Command {
    Options::augment_args(Command::new("compare"))
}

fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<ArgMatches, clap::Error> {
    command().try_get_matches_from([OsString::from("compare")].into_iter().chain(arguments))
}

/// Whether an option is on the command line itself.
fn is_given(matches: &ArgMatches, name: &str) -> bool {
    let command = command();
    let argument = command.get_arguments().find(|argument| argument.get_long() == Some(name));
    argument.is_some_and(|argument| matches.value_source(argument.get_id().as_str()) == Some(ValueSource::CommandLine))
}

/// The first line of an error, without clap's usage below it.
fn first_line(error: &clap::Error) -> String {
    let text = error.to_string();
    text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_string()
}

/// The settings of a scenario file: a table of options by their names.
fn of_scenario(path: &Path) -> anyhow::Result<Vec<Setting>> {
    let file = path.display();
    let text = fs::read_to_string(path).with_context(|| format!("cannot read the scenario {file}"))?;
    let line = |at: usize| text[..at].matches('\n').count() + 1;
    let table = DeTable::parse(&text).map_err(|error| {
        let at = error.span().map_or(1, |span| line(span.start));
        anyhow::anyhow!("{file}:{at}: {}", error.message())
    })?;
    let command = command();
    let known = || {
        let names = command.get_arguments().filter_map(|argument| argument.get_long());
        names.filter(|name| !NOT_IN_FILES.contains(name) && *name != "help")
    };
    let mut settings = Vec::new();
    for (key, value) in table.get_ref() {
        let place = format!("{file}:{}", line(key.span().start));
        let name = key.get_ref().to_string();
        if !known().any(|known| known == name) {
            bail!("{place}: no option is called '{name}'; there are {}", known().collect::<Vec<_>>().join(", "));
        }
        let wrong = || format!("{place}: {name} is a number, a text or a list");
        let values = match value.get_ref() {
            DeValue::Boolean(false) => Vec::new(),
            DeValue::Boolean(true) => vec![None],
            // An option that is given several times, where others have a list with commas.
            DeValue::Array(values) if repeated(&command, &name) => {
                let values = values.iter().map(|value| in_words(value.get_ref()).map(Some));
                values.collect::<Option<Vec<_>>>().with_context(wrong)?
            }
            value => vec![Some(in_words(value).with_context(wrong)?)],
        };
        for value in values {
            let setting = Setting { name: name.clone(), value, place: place.clone() };
            check(&setting)?;
            settings.push(setting);
        }
    }
    Ok(settings)
}

/// Whether an option is repeated for several values.
fn repeated(command: &Command, name: &str) -> bool {
    let argument = command.get_arguments().find(|argument| argument.get_long() == Some(name));
    argument.is_some_and(|argument| {
        matches!(argument.get_action(), ArgAction::Append) && argument.get_value_delimiter().is_none()
    })
}

/// A value as on the command line.
fn in_words(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => Some(number.as_str().replace('_', "")),
        DeValue::Float(number) => Some(number.as_str().replace('_', "")),
        DeValue::Array(values) => {
            let values: Option<Vec<String>> = values.iter().map(|value| in_words(value.get_ref())).collect();
            Some(values?.join(","))
        }
        DeValue::Boolean(_) | DeValue::Datetime(_) | DeValue::Table(_) => None,
    }
}

/// Checks the value of one option by itself.
fn check(setting: &Setting) -> anyhow::Result<()> {
    match parse([setting.argument().into()]) {
        // These depend on the other options.
        Err(error) if !matches!(error.kind(), ErrorKind::MissingRequiredArgument | ErrorKind::ArgumentConflict) => {
            bail!("{}: {}", setting.place, first_line(&error))
        }
        _ => Ok(()),
    }
}

/// The settings of the comparisons of a run.
fn of_run(path: &Path, run: &Run) -> anyhow::Result<Vec<Setting>> {
    let comparisons: Vec<&Scenario> = run.comparisons().map(|comparison| &comparison.scenario).collect();
    let first = comparisons.first().with_context(|| {
        format!("{} has no comparison to be made again, but experiments; run them by their names", path.display())
    })?;
    ensure!(
        comparisons.iter().all(|scenario| scenario.target.is_none()),
        "{} has measured servers of another kind; repeat it with the command target and its files",
        path.display()
    );
    let listed = |values: Vec<String>| values.join(",");
    let transports = listed(first.transports.iter().map(ToString::to_string).collect());
    let subscribers = listed(comparisons.iter().map(|scenario| scenario.subscribers.to_string()).collect());
    let headers = match first.headers {
        Headers::Lean => "lean",
        Headers::Browser => "browser",
    };
    let mut settings = vec![
        ("transports", transports),
        ("subscribers", subscribers),
        ("poll-interval", format!("{}ms", first.poll_interval_ms)),
        ("rounds", first.rounds.to_string()),
        ("duration", format!("{}ms", first.duration_ms)),
        ("headers", headers.into()),
        ("network", first.network.to_string()),
        ("streams-per-connection", first.streams_per_connection.to_string()),
        ("seed", first.seed.to_string()),
    ];
    settings.push(match first.agents {
        0 => ("processes", first.processes.to_string()),
        agents => ("agents", agents.to_string()),
    });
    match &first.url {
        Some(url) => settings.push(("url", url.clone())),
        None => settings.extend([
            ("rate", first.rate.to_string()),
            ("schedule", first.schedule.to_string()),
            ("payload", first.payload_bytes.to_string()),
            ("payload-kind", first.payload_kind.to_string()),
            ("threads", first.server_threads.to_string()),
        ]),
    }
    let place = path.display().to_string();
    let setting = |name: &str, value| Setting { name: name.into(), value, place: place.clone() };
    let mut settings: Vec<Setting> = settings.into_iter().map(|(name, value)| setting(name, Some(value))).collect();
    if first.tls && first.url.is_none() {
        settings.push(setting("tls", None));
    }
    if first.insecure {
        settings.push(setting("insecure", None));
    }
    settings.iter().try_for_each(check)?;
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use protocol::Transport;

    use super::*;

    fn scenario(name: &str, text: &str, given: &[&str]) -> anyhow::Result<Options> {
        let path = std::env::temp_dir().join(format!("{name}-{}.toml", std::process::id()));
        fs::write(&path, text).unwrap();
        let given: Vec<OsString> = [format!("--scenario={}", path.display())]
            .into_iter()
            .map(Into::into)
            .chain(given.iter().map(Into::into))
            .collect();
        let options = Options::from_arg_matches(&parse(given.clone()).unwrap()).unwrap();
        let completed = completed(options, &given);
        fs::remove_file(&path).unwrap();
        completed
    }

    #[test]
    fn a_scenario_has_the_options_of_the_command_line_which_has_precedence() {
        let text = "# a ticker\ntransports = [\"sse\", \"websocket\"]\nsubscribers = [10, 1_000]\nrate = 5.5\nduration = \"2s\"\ntls = true\n\
                    network = \"mobile\"\nfail-if = [\"websocket.p99 > 20ms\", \"cpu > 50us\"]\n";
        let options = scenario("ticker", text, &["--subscribers=7"]).unwrap();
        assert_eq!(options.fixed.transports, [Transport::Sse, Transport::WebSocket]);
        assert_eq!((options.subscribers.as_slice(), options.fixed.rate, options.fixed.tls), (&[7][..], 5.5, true));
        assert_eq!(options.conditions.fail_if.len(), 2);
    }

    #[test]
    fn a_fault_in_a_scenario_is_told_with_its_line() {
        for (text, fault) in [
            ("rate = 1\nratee = 2\n", ".toml:2: no option is called 'ratee'; there are subscribers"),
            ("\n\nrounds = 0\n", ".toml:3: invalid value '0'"),
            ("duration = 5\n", ".toml:1: invalid value '5'"),
            ("rounds = [\n", ".toml:"),
            ("[transports]\na = 1\n", ".toml:1: transports is a number, a text or a list"),
            ("scenario = \"other\"\n", ".toml:1: no option is called 'scenario'"),
        ] {
            let error = format!("{:#}", scenario("faulty", text, &[]).expect_err(text));
            assert!(error.contains(fault), "{text}: {error}");
        }
    }
}
