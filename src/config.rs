//! What the command line is told beside its verb: who calls, where the exchange is, where files lie.
//!
//! Every setting comes from the first of these that gives it: flag, environment variable, configuration file, default.
//! The file is `config.toml` in the home directory; the endpoint is also looked up in the caller's own `profile.toml`,
//! before that file. Nothing here opens a connection.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::Deserialize;

/// The address of an exchange that nobody named.
pub const ENDPOINT: &str = "https://localhost:8443";
/// The name of the configuration file in the home directory.
pub const FILE: &str = "config.toml";

/// How settings are found, as `--help` tells it.
pub const HELP: &str = "\
Settings: a flag comes before an environment variable, that before the configuration file HOME/config.toml, that before
the default. HOME is --home, CONCORDAT_HOME, $XDG_CONFIG_HOME/concordat or ~/.config/concordat.

  flag            environment           config.toml   default
  --as            CONCORDAT_AS          as            none: the profile HOME/profiles/NAME
  --profile       CONCORDAT_PROFILE     profile       none: the profile in a directory
  --endpoint      CONCORDAT_ENDPOINT    endpoint      https://localhost:8443 (profile.toml of the profile comes first)
  --staff         CONCORDAT_STAFF       staff         none: the request is unattended
  --role          CONCORDAT_ROLE        role          none
  --log           CONCORDAT_LOG         log           `info` for serve, `warn` otherwise
  --log-format    CONCORDAT_LOG_FORMAT  log_format    text

Exit codes: 0 ok, 1 other, 2 usage, 3 not found, 4 not permitted, 5 invalid, 6 conflict, 7 unavailable.";

/// What one source gives.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layer {
    /// The name of a profile under the home directory.
    #[serde(rename = "as")]
    pub name: Option<String>,
    /// The directory of a profile.
    pub profile: Option<PathBuf>,
    /// The address of the exchange.
    pub endpoint: Option<String>,
    /// The member of staff who acts.
    pub staff: Option<String>,
    /// That person's role.
    pub role: Option<String>,
    /// What is logged.
    pub log: Option<String>,
    /// How it is logged: `text` or `json`.
    pub log_format: Option<String>,
}

/// Which profile is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The one of this name under the home directory.
    Named(String),
    /// The one in this directory.
    Directory(PathBuf),
}

/// Every setting, resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where profiles and the configuration file lie.
    pub home: PathBuf,
    /// Who calls, if it was said.
    pub profile: Option<Choice>,
    /// The address of the exchange by flag or environment.
    pub endpoint_given: Option<String>,
    /// The address of the exchange by the configuration file.
    pub endpoint_filed: Option<String>,
    /// Who acts: staff id and role. `None` is unattended.
    pub staff: Option<(String, String)>,
    /// What is logged, if it was said.
    pub log: Option<String>,
    /// Whether logs are JSON.
    pub log_json: bool,
}

/// Settings that contradict each other or cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed(pub String);

impl Settings {
    /// Resolves the settings from flags, the environment and the configuration file.
    ///
    /// # Errors
    /// The configuration file does not parse, or what one source says contradicts itself.
    pub fn resolve(
        home: Option<PathBuf>,
        flags: Layer,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, Malformed> {
        let home = home.or_else(|| default_home(environment)).ok_or_else(|| {
            Malformed("there is no home directory; give one by --home".to_owned())
        })?;
        let file = read(&home.join(FILE))?;
        let layers = [flags, of_environment(environment), file];
        let mut profile = None;
        for layer in &layers {
            profile = profile.or(layer.choice()?);
        }
        let [flags, environment, file] = layers;
        let first = |of: fn(&Layer) -> &Option<String>| {
            of(&flags).clone().or_else(|| of(&environment).clone()).or_else(|| of(&file).clone())
        };
        let staff = match (first(|layer| &layer.staff), first(|layer| &layer.role)) {
            (None, None) => None,
            (Some(staff), Some(role)) => Some((staff, role)),
            (Some(_), None) => {
                return Err(Malformed("a member of staff acts in a role; give --role".to_owned()));
            }
            (None, Some(_)) => {
                return Err(Malformed("a role is somebody's; give --staff".to_owned()));
            }
        };
        let log_json = match first(|layer| &layer.log_format).as_deref() {
            None | Some("text") => false,
            Some("json") => true,
            Some(_) => return Err(Malformed("logs are `text` or `json`".to_owned())),
        };
        Ok(Self {
            home,
            profile,
            staff,
            log: first(|layer| &layer.log),
            log_json,
            endpoint_given: flags.endpoint.or(environment.endpoint),
            endpoint_filed: file.endpoint,
        })
    }
}

impl Layer {
    fn choice(&self) -> Result<Option<Choice>, Malformed> {
        match (&self.name, &self.profile) {
            (None, None) => Ok(None),
            (Some(name), None) => Ok(Some(Choice::Named(name.clone()))),
            (None, Some(directory)) => Ok(Some(Choice::Directory(directory.clone()))),
            (Some(_), Some(_)) => Err(Malformed(
                "a profile is chosen by its name and by its directory; choose by one of them"
                    .to_owned(),
            )),
        }
    }
}

fn of_environment(environment: &dyn Fn(&str) -> Option<String>) -> Layer {
    Layer {
        name: environment("CONCORDAT_AS"),
        profile: environment("CONCORDAT_PROFILE").map(PathBuf::from),
        endpoint: environment("CONCORDAT_ENDPOINT"),
        staff: environment("CONCORDAT_STAFF"),
        role: environment("CONCORDAT_ROLE"),
        log: environment("CONCORDAT_LOG"),
        log_format: environment("CONCORDAT_LOG_FORMAT"),
    }
}

fn default_home(environment: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
    if let Some(home) = environment("CONCORDAT_HOME") {
        return Some(home.into());
    }
    let config = environment("XDG_CONFIG_HOME").map(PathBuf::from);
    let config =
        config.or_else(|| environment("HOME").map(|home| Path::new(&home).join(".config")));
    config.map(|config| config.join("concordat"))
}

fn read(path: &Path) -> Result<Layer, Malformed> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(Layer::default()),
        Err(cause) => return Err(Malformed(format!("`{}`: {cause}", path.display()))),
    };
    toml::from_str(&text)
        .map_err(|cause| Malformed(format!("`{}`: {}", path.display(), cause.message())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(
        flags: Layer,
        environment: &[(&str, &str)],
        file: &str,
    ) -> Result<Settings, Malformed> {
        let malformed = |cause: io::Error| Malformed(cause.to_string());
        let home = tempfile::tempdir().map_err(malformed)?;
        fs::write(home.path().join(FILE), file).map_err(malformed)?;
        Settings::resolve(Some(home.path().to_owned()), flags, &|name| {
            let found = environment.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn a_flag_comes_before_the_environment_and_that_before_the_file() {
        let file = "as = \"filed\"\nendpoint = \"https://filed\"\nlog = \"filed\"";
        let environment = [("CONCORDAT_AS", "environed"), ("CONCORDAT_LOG", "environed")];
        let flags = Layer { name: Some("flagged".to_owned()), ..Layer::default() };
        let settings = resolve(flags, &environment, file).unwrap();
        assert_eq!(settings.profile, Some(Choice::Named("flagged".to_owned())));
        assert_eq!(settings.log.as_deref(), Some("environed"));
        assert_eq!(settings.endpoint_given, None);
        assert_eq!(settings.endpoint_filed.as_deref(), Some("https://filed"));
    }

    #[test]
    fn a_profile_by_flag_is_no_contradiction_to_a_name_by_environment() {
        let flags = Layer { profile: Some("/p".into()), ..Layer::default() };
        let settings = resolve(flags, &[("CONCORDAT_AS", "other")], "").unwrap();
        assert_eq!(settings.profile, Some(Choice::Directory("/p".into())));
    }

    #[test]
    fn settings_that_contradict_each_other_are_refused() {
        let both = Layer { name: Some("a".into()), profile: Some("/a".into()), ..Layer::default() };
        assert!(resolve(both, &[], "").is_err());
        assert!(resolve(Layer::default(), &[("CONCORDAT_ROLE", "adviser")], "").is_err());
        assert!(resolve(Layer::default(), &[], "colour = 1").is_err());
        assert!(resolve(Layer::default(), &[], "log_format = \"xml\"").is_err());
    }
}
