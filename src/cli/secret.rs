//! `linkforty secret`: makes secrets, and changes the one that people are signed in with without signing anybody out.
//!
//! A change has three steps, so that nodes which are restarted one after the other understand each other all the time: the new secret is
//! announced and only believed, then it signs and the old one is only believed, then the old one goes.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, anyhow, bail};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use clap::{Args, Subcommand, ValueEnum};

use crate::{accounts::tokens, config::Config, env, files, ids::Ids};

const SECRET: &str = "JWT_SECRET";
const PREVIOUS: &str = "JWT_SECRET_PREVIOUS";

/// What to do.
#[derive(Debug, Subcommand)]
#[command(
    after_help = "Examples:\n  linkforty secret generate\n  linkforty secret generate --key >/etc/linkforty/jwt.pem       for JWT_KEY_FILE\n  linkforty secret rotate announce --file /etc/linkforty.env   then restart every node\n  linkforty secret rotate switch --file /etc/linkforty.env     then restart every node\n  linkforty secret rotate finish --file /etc/linkforty.env     90 days later, or when you like"
)]
pub(super) enum Command {
    /// Prints a new secret of 48 random bytes, for JWT_SECRET or SESSION_SECRET
    Generate(Generate),
    /// Changes JWT_SECRET in three steps; after each of the first two every node is restarted
    Rotate(Rotate),
}

#[derive(Debug, Args)]
pub(super) struct Generate {
    /// Print an Ed25519 key in PEM instead, for JWT_KEY
    #[arg(long)]
    key: bool,
}

#[derive(Debug, Args)]
pub(super) struct Rotate {
    /// Which step
    #[arg(value_enum)]
    step: Step,
    /// The file of settings that JWT_SECRET stands in, a `NAME=value` in each line; without it the secrets of DATA_DIR are changed, which
    /// embedded mode makes itself
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

/// A step of the change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Step {
    /// Makes a new secret that nodes believe and do not use
    Announce,
    /// Makes it the one that signs, and the old one the one that is only believed. One node needs no announcement
    Switch,
    /// Takes the old one away: who has not been there since the switch signs in again
    Finish,
}

/// The secret and what else is believed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Pair {
    secret: String,
    previous: Option<String>,
}

pub(super) fn generate(what: &Generate) {
    let ids = Ids::from_os();
    if what.key {
        say_on!("{}", tokens::new_key(&ids));
    } else {
        say!("{}", fresh(&ids));
    }
}

pub(super) fn rotate(config: &Config, asked: &Rotate) -> anyhow::Result<()> {
    let fresh = fresh(&Ids::from_os());
    match &asked.file {
        Some(file) => {
            let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
            let Some(secret) = read(&text, SECRET) else {
                bail!("{SECRET} does not stand in {}", file.display())
            };
            let before = Pair { secret, previous: read(&text, PREVIOUS) };
            let after = next(before, asked.step, fresh).map_err(|wrong| anyhow!(wrong))?;
            let text = write(&write(&text, SECRET, Some(&after.secret)), PREVIOUS, after.previous.as_deref());
            replace(file, &text).with_context(|| format!("cannot write {}", file.display()))?;
        }
        None if config.secrets.is_some() => {
            bail!("{SECRET} is set: name the file that it stands in with --file")
        }
        None => {
            let (file, other) =
                (config.data_dir.join(env::JWT_SECRET), config.data_dir.join(env::JWT_SECRET_PREVIOUS));
            let secret =
                fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
            let previous = other.exists().then(|| fs::read_to_string(&other)).transpose()?;
            let before = Pair {
                secret: secret.trim().to_owned(),
                previous: previous.map(|text| text.trim().to_owned()),
            };
            let after = next(before, asked.step, fresh).map_err(|wrong| anyhow!(wrong))?;
            // In this order: between the two nothing is lost.
            if let Some(previous) = &after.previous {
                files::replace(&other, previous.as_bytes())?;
            }
            files::replace(&file, after.secret.as_bytes())?;
            if after.previous.is_none() {
                fs::remove_file(&other)?;
            }
        }
    }
    say!("{}", then(asked.step));
    Ok(())
}

/// Replaces a file of settings, which whoever could read it can still read.
fn replace(file: &Path, text: &str) -> io::Result<()> {
    let permissions = fs::metadata(file)?.permissions();
    files::replace(file, text.as_bytes())?;
    fs::set_permissions(file, permissions)
}

fn fresh(ids: &Ids) -> String {
    STANDARD.encode(ids.bytes::<48>())
}

/// Says what a step makes of the two; pure.
fn next(before: Pair, step: Step, fresh: String) -> Result<Pair, &'static str> {
    let Pair { secret, previous } = before;
    match (step, previous) {
        (Step::Announce, None) => Ok(Pair { secret, previous: Some(fresh) }),
        (Step::Announce, Some(_)) => {
            Err("JWT_SECRET_PREVIOUS is set: a change is under way already; switch or finish it")
        }
        (Step::Switch, Some(announced)) => Ok(Pair { secret: announced, previous: Some(secret) }),
        (Step::Switch, None) => Ok(Pair { secret: fresh, previous: Some(secret) }),
        (Step::Finish, Some(_)) => Ok(Pair { secret, previous: None }),
        (Step::Finish, None) => Err("JWT_SECRET_PREVIOUS is not set: there is nothing to finish"),
    }
}

const fn then(step: Step) -> &'static str {
    match step {
        Step::Announce => "announced. Restart every node, then: linkforty secret rotate switch",
        Step::Switch => {
            "switched. Restart every node. Nobody is signed out. When everybody has been there once (90 days at the most): linkforty secret rotate finish"
        }
        Step::Finish => "finished. Restart every node: what was signed with the old secret is refused then",
    }
}

/// Returns the value of a setting in a file of them.
fn read(text: &str, name: &str) -> Option<String> {
    let value = text.lines().rev().find_map(|line| value_of(line, name))?.trim();
    let quoted = |quote: char| value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    let value = quoted('"').or_else(|| quoted('\'')).unwrap_or(value);
    (!value.is_empty()).then(|| value.to_owned())
}

fn value_of<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let line = line.trim_start();
    let line = line.strip_prefix("export ").map_or(line, str::trim_start);
    line.strip_prefix(name)?.trim_start().strip_prefix('=')
}

/// Sets a setting in a file of them, or takes it out; the other lines stay as they are.
fn write(text: &str, name: &str, value: Option<&str>) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut value = value.map(|value| format!("{name}={value}"));
    for line in text.lines() {
        if value_of(line, name).is_none() {
            lines.push(line.to_owned());
        } else if let Some(value) = value.take() {
            lines.push(value);
        }
    }
    lines.extend(value);
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(secret: &str, previous: Option<&str>) -> Pair {
        Pair { secret: secret.to_owned(), previous: previous.map(str::to_owned) }
    }

    #[test]
    fn a_change_goes_step_by_step() {
        use Step::{Announce, Finish, Switch};
        for (before, step, after) in [
            (pair("a", None), Announce, Some(pair("a", Some("new")))),
            (pair("a", Some("b")), Announce, None),
            (pair("a", Some("b")), Switch, Some(pair("b", Some("a")))),
            (pair("a", None), Switch, Some(pair("new", Some("a")))),
            (pair("b", Some("a")), Finish, Some(pair("b", None))),
            (pair("b", None), Finish, None),
        ] {
            assert_eq!(next(before.clone(), step, "new".into()).ok(), after, "{step:?} of {before:?}");
        }
    }

    #[test]
    fn settings_are_found_and_replaced_and_nothing_else_is() {
        let text = "# JWT_SECRET=no\nA=1\nexport JWT_SECRET=\"old\"\nJWT_SECRETS=x\n";
        assert_eq!(read(text, SECRET).as_deref(), Some("old"));
        assert_eq!(read(text, PREVIOUS), None);
        let changed = write(&write(text, SECRET, Some("new")), PREVIOUS, Some("old"));
        assert_eq!(changed, "# JWT_SECRET=no\nA=1\nJWT_SECRET=new\nJWT_SECRETS=x\nJWT_SECRET_PREVIOUS=old\n");
        assert_eq!(write(&changed, PREVIOUS, None), "# JWT_SECRET=no\nA=1\nJWT_SECRET=new\nJWT_SECRETS=x\n");
        assert_eq!(read("JWT_SECRET=\n", SECRET), None);
        assert_eq!(read("JWT_SECRET='a b'\nJWT_SECRET=c\n", SECRET).as_deref(), Some("c"));
    }
}
