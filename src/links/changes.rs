//! Tells every node which links changed, so that none redirects by what was.
//!
//! Two ways: a message after the commit, and on Postgres a NOTIFY inside it, which cannot be forgotten. The
//! message is a list of lines, two for each link: its domain (empty for the server's own) and its code. A last one, alone, is the
//! moment of the change in microseconds, to measure how long it took; nodes before it was added stop reading there.

use std::{str::Lines, time::Duration};

use bytes::Bytes;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr};
use serde_json::Value;
use tracing::Instrument as _;

use super::resolve;
use crate::{
    cache::{self, Topic},
    clock::{Moment, from_micros},
    entity::link,
    env::Env,
    error::{Error, Result},
};

/// Links of one message.
const MESSAGE_LINKS: usize = 500;
/// Bytes of one message without its last line: Postgres takes less than 8,000.
const MESSAGE_BYTES: usize = 7900;
/// What stands in the shared cache in place of a link that has just changed. No form of a target begins like this.
const TOMBSTONE: &[u8] = &[0];
/// How long it stands there: longer than a look-up that began before the change can take to end.
const TOMBSTONE_LIFE: Duration = Duration::from_secs(5);

/// The links a transaction changed, as messages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    messages: Vec<String>,
    keys: Vec<String>,
}

impl Changes {
    /// Returns the changes of these links, made at `now`.
    pub fn of<'a>(links: impl IntoIterator<Item = &'a link::Model>, now: Moment) -> Self {
        let mut changes = Self::default();
        let mut in_message = 0;
        let codes = links.into_iter().flat_map(|link| {
            let aliases = link.aliases.as_array().into_iter().flatten().filter_map(Value::as_str);
            std::iter::once(&*link.short_code).chain(aliases).map(|code| (&*link.domain, code))
        });
        for (domain, code) in codes {
            let lines = format!("{domain}\n{code}");
            match changes.messages.last_mut() {
                Some(last) if in_message < MESSAGE_LINKS && last.len() + 1 + lines.len() <= MESSAGE_BYTES => {
                    last.push('\n');
                    last.push_str(&lines);
                    in_message += 1;
                }
                _ => {
                    changes.messages.push(lines);
                    in_message = 1;
                }
            }
            changes.keys.push(shared_key(domain, code));
        }
        for message in &mut changes.messages {
            message.push('\n');
            message.push_str(&now.timestamp_micros().to_string());
        }
        changes
    }

    /// Notifies through Postgres, when the transaction commits.
    pub async fn notify(&self, tx: &impl ConnectionTrait) -> Result<(), DbErr> {
        for message in &self.messages {
            cache::notify(tx, Topic::Links, message).await?;
        }
        Ok(())
    }

    /// Commits and tells all nodes. Runs to its end even if the caller hangs up in between: a stored change that nobody
    /// heard of would be redirected by for long.
    pub async fn commit(self, env: &Env, tx: DatabaseTransaction) -> Result<()> {
        let env = env.clone();
        let work = async move {
            let committed = tx.commit().await;
            // Also after a failure: a commit whose answer was lost may have happened.
            self.tell(&env).await;
            committed
        };
        Ok(tokio::spawn(work.in_current_span()).await.map_err(Error::internal)??)
    }

    /// First this node forgets, so that whoever made the change sees it wherever a message may be. Then the shared cache
    /// forgets, then the other nodes: one that asks again must not find what was. A tombstone keeps out what a slower node
    /// read before the change.
    async fn tell(self, env: &Env) {
        for message in &self.messages {
            resolve::forget(env, message);
        }
        let buried =
            self.keys.iter().map(|key| env.cache.set(key, Bytes::from_static(TOMBSTONE), TOMBSTONE_LIFE));
        let failed = futures::future::join_all(buried).await.into_iter().filter(Result::is_err).count();
        metrics::counter!("linkforty_invalidation_failed_total", "path" => "cache").increment(failed as u64);
        for message in self.messages {
            if env.fanout.publish(Topic::Links, Bytes::from(message)).await.is_err() {
                metrics::counter!("linkforty_invalidation_failed_total", "path" => "fanout").increment(1);
            }
        }
    }
}

/// Returns the key under which the shared cache keeps the target of a code.
pub fn shared_key(domain: &str, short_code: &str) -> String {
    format!("link:{domain}:{short_code}")
}

/// Reads a message: the domain and the code of each changed link.
pub fn read(message: &str) -> impl Iterator<Item = (&str, &str)> {
    struct Pairs<'a>(Lines<'a>);
    impl<'a> Iterator for Pairs<'a> {
        type Item = (&'a str, &'a str);
        fn next(&mut self) -> Option<Self::Item> {
            Some((self.0.next()?, self.0.next()?))
        }
    }
    Pairs(message.lines())
}

/// Returns when the changes of a message were made. `None` when it does not say, as those of older nodes.
pub fn made_at(message: &str) -> Option<Moment> {
    let alone = message.lines().count() % 2 == 1;
    alone.then(|| message.lines().last()?.parse().ok().map(from_micros)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Ids, LinkId, WorkspaceId};

    fn link(code: String) -> link::Model {
        let (ids, now) = (Ids::seeded(3), from_micros(0));
        link::Model {
            id: LinkId::mint(&ids, now),
            workspace_id: WorkspaceId::mint(&ids, now),
            domain: String::new(),
            short_code: code,
            destination_url: String::new(),
            title: String::new(),
            description: String::new(),
            ios_url: String::new(),
            android_url: String::new(),
            web_url: String::new(),
            app_scheme: String::new(),
            ios_universal_link: String::new(),
            android_app_link: String::new(),
            deep_link_path: String::new(),
            deep_link_parameters: serde_json::json!({}),
            utm: serde_json::json!({}),
            append_click_id: false,
            forward_query: true,
            routing_rules: None,
            active: true,
            start_time: None,
            expire_time: None,
            max_clicks: 0,
            tags: serde_json::json!([]),
            targeting: None,
            og: None,
            warn_time: None,
            disable_time: None,
            disable_reason: String::new(),
            password_hash: None,
            launchpad_mode: 0,
            project_id: None,
            template_id: None,
            external_id: None,
            external_user_id: String::new(),
            reuse_key: None,
            source: String::new(),
            archived: false,
            attribution_window: 0,
            event_attribution_window: 0,
            redirect_status: 0,
            cache_seconds: 0,
            aliases: serde_json::json!([]),
            alias_of: None,
            routing_tests: None,
            version: 1,
            create_time: now,
            update_time: now,
        }
    }

    #[test]
    fn messages_say_every_link_and_fit() {
        for (count, length, messages) in [(0, 8, 0), (1, 8, 1), (500, 8, 1), (501, 8, 2), (1000, 128, 17)] {
            let links: Vec<_> = (0..count).map(|number| link(format!("{number:0length$}"))).collect();
            let now = from_micros(1_800_000_000_000_001);
            let changes = Changes::of(&links, now);
            assert_eq!(changes.messages.len(), messages, "{count} of {length}");
            assert!(changes.messages.iter().all(|message| message.len() < 8000));
            assert!(changes.messages.iter().all(|message| made_at(message) == Some(now)));
            let read: Vec<_> = changes.messages.iter().flat_map(|message| read(message)).collect();
            assert_eq!(read, links.iter().map(|link| ("", link.short_code.as_str())).collect::<Vec<_>>());
        }
    }

    /// A rolling deploy: either version reads the other's messages.
    #[test]
    fn the_moment_of_a_change_is_no_link() {
        for (message, links, moment) in [
            ("", 0, None),
            ("\nx", 1, None),
            ("\nx\n1700", 1, Some(from_micros(1700))),
            ("a.example\nx\n\ny\n-5", 2, Some(from_micros(-5))),
            ("\nx\nsoon", 1, None),
        ] {
            assert_eq!((read(message).count(), made_at(message)), (links, moment), "{message:?}");
        }
    }

    #[test]
    fn further_codes_are_told_with_their_link() {
        let link = link::Model { aliases: serde_json::json!(["y", "z"]), ..link("x".into()) };
        let changes = Changes::of([&link], from_micros(5));
        assert_eq!(changes.messages, ["\nx\n\ny\n\nz\n5"]);
        assert_eq!(changes.keys, ["link::x", "link::y", "link::z"]);
    }

    #[test]
    fn domains_are_told_too() {
        assert_eq!(read("a.example\nx\n\ny").collect::<Vec<_>>(), [("a.example", "x"), ("", "y")]);
        assert_eq!(shared_key("", "x"), "link::x");
    }
}
