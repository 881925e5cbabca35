//! What is wrong with the files that let apps open links, as Apple and Google read them. Pure.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    Expected, File, Findings, MOST_BYTES, SHOWN,
    ids::{is_app_id, is_fingerprint, is_package},
};
use crate::pb::v1::DomainFindingCode as Code;

pub(super) const HANDLE_ALL_URLS: &str = "delegate_permission/common.handle_all_urls";

impl Findings {
    /// Judges what both Apple and Google ask of a file, and returns what is in it, if it is there to be read. One that is missing is an
    /// error only if something is expected in it.
    pub(super) fn file(&mut self, url: &str, file: &File, expected: bool) -> Option<Value> {
        let (status, location, content_type, body, truncated) = match file {
            File::NotRead(why) => {
                let advice = "Look at the proxy: the file does not come to its end.";
                self.error(Code::FileNotRead, url, advice, why.as_str());
                return None;
            }
            File::Answer { status, location, content_type, body, truncated } => {
                (*status, location, content_type, body, *truncated)
            }
        };
        match status {
            200 => {}
            404 | 410 => {
                let advice =
                    "Set up the app of this workspace, or let the proxy pass this path on to linkforty.";
                if expected {
                    self.error(Code::FileMissing, url, advice, status.to_string());
                } else {
                    self.warning(Code::FileMissing, url, advice, status.to_string());
                }
                return None;
            }
            300..400 => {
                let advice = "Answer this path without a redirect: Apple and Google follow none.";
                self.error(Code::FileRedirects, url, advice, location.as_str());
                return None;
            }
            _ => {
                let advice = "Let the proxy pass this path on to linkforty without asking for anything.";
                self.error(Code::FileStatus, url, advice, status.to_string());
                return None;
            }
        }
        let kind = content_type.split(';').next().unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("application/json") {
            let advice = "Serve the file as application/json.";
            self.error(Code::FileContentType, url, advice, content_type.as_str());
        }
        if truncated || body.len() > MOST_BYTES {
            let advice = "Make the file smaller than 128 KiB: Apple reads no larger one.";
            self.error(Code::FileTooLarge, url, advice, "");
            return None;
        }
        let json = serde_json::from_slice(body).ok();
        if json.is_none() {
            let advice = "Make the file valid JSON, without a byte order mark and without comments.";
            self.error(
                Code::FileNotJson,
                url,
                advice,
                String::from_utf8_lossy(&body[..body.len().min(SHOWN)]),
            );
        }
        json
    }

    pub(super) fn apple(&mut self, url: &str, json: &Value, expected: &Expected) {
        let details = json.pointer("/applinks/details").and_then(Value::as_array);
        let Some(details) = details.filter(|details| !details.is_empty()) else {
            self.error(
                Code::AppleNoDetails,
                url,
                "Give the file an object \"applinks\" with a list \"details\" that names the app.",
                "",
            );
            return;
        };
        let mut all: Vec<&str> = Vec::new();
        for detail in details {
            let one = detail.get("appID").and_then(Value::as_str);
            let many = detail.get("appIDs").and_then(Value::as_array);
            let ids: Vec<&str> =
                one.into_iter().chain(many.into_iter().flatten().filter_map(Value::as_str)).collect();
            if ids.is_empty() {
                let advice = "Name the app of every entry of \"details\" in \"appIDs\".";
                self.error(Code::AppleAppIdMalformed, url, advice, "");
            }
            for id in ids.iter().filter(|id| !is_app_id(id)) {
                let advice = "Write app ids as the team's ten characters, a dot and the bundle id.";
                self.error(Code::AppleAppIdMalformed, url, advice, *id);
            }
            let is_there =
                |name: &str| detail.get(name).and_then(Value::as_array).is_some_and(|list| !list.is_empty());
            let name = ids.first().copied().unwrap_or_default();
            if !is_there("components") && !is_there("paths") {
                let advice = "Say in \"components\" which links the app opens: as it is, it opens none.";
                self.error(Code::AppleNoPatterns, url, advice, name);
            } else if !is_there("components") {
                let advice = "Write \"components\" beside \"paths\", which iOS 13 and later only reads for want of them.";
                self.warning(Code::AppleOldForm, url, advice, name);
            }
            all.extend(ids);
        }
        for id in expected.app_ids.iter().filter(|id| !all.contains(&id.as_str())) {
            let advice = format!("Add the app id {id} to \"appIDs\".");
            self.error(Code::AppleAppIdMissing, url, advice, all.join(", "));
        }
        let others: BTreeSet<&str> = all
            .iter()
            .copied()
            .filter(|id| is_app_id(id) && !expected.app_ids.iter().any(|known| known == id))
            .collect();
        for id in others.into_iter().filter(|_| expected.complete) {
            let advice = format!(
                "Register the app {id} with CreateApp, or take it out of the file: no app of the workspace has this id."
            );
            self.warning(Code::AppleAppIdUnregistered, url, advice, id);
        }
    }

    pub(super) fn google(&mut self, url: &str, json: &Value, expected: &Expected) {
        let Some(statements) = json.as_array() else {
            let advice = "Make the file a list of statements, in square brackets.";
            self.error(Code::GoogleNotAList, url, advice, "");
            return;
        };
        let mut apps: Vec<(&str, Vec<&str>)> = Vec::new();
        for statement in statements {
            let relations = statement.get("relation").and_then(Value::as_array);
            if !relations.is_some_and(|all| all.iter().any(|one| one == HANDLE_ALL_URLS)) {
                continue;
            }
            let text = |name: &str| statement.pointer(name).and_then(Value::as_str).unwrap_or_default();
            if text("/target/namespace") != "android_app" {
                continue;
            }
            let package = text("/target/package_name");
            if !is_package(package) {
                let advice = "Write the package name as in the app's manifest, for example com.example.app.";
                self.error(Code::GooglePackageMalformed, url, advice, package);
            }
            let fingerprints =
                statement.pointer("/target/sha256_cert_fingerprints").and_then(Value::as_array);
            let fingerprints: Vec<&str> =
                fingerprints.into_iter().flatten().map(|one| one.as_str().unwrap_or_default()).collect();
            if fingerprints.is_empty() {
                let advice = "Name the fingerprint of the certificate that Google Play signs the app with.";
                self.error(Code::GoogleFingerprintMalformed, url, advice, package);
            }
            for one in fingerprints.iter().filter(|one| !is_fingerprint(one)) {
                let advice =
                    "Write fingerprints as 32 bytes in capital hexadecimal with colons between them.";
                self.error(Code::GoogleFingerprintMalformed, url, advice, *one);
            }
            apps.push((package, fingerprints));
        }
        if apps.is_empty() {
            let advice = format!("Add a statement with the relation {HANDLE_ALL_URLS} for the Android app.");
            self.error(Code::GoogleNoRelation, url, advice, "");
            return;
        }
        for (package, fingerprint) in &expected.android_apps {
            let of_package: Vec<_> = apps.iter().filter(|(name, _)| name == package).collect();
            if of_package.is_empty() {
                let names: Vec<&str> = apps.iter().map(|(name, _)| *name).collect();
                let advice = format!("Add a statement for the package {package}.");
                self.error(Code::GooglePackageMissing, url, advice, names.join(", "));
            } else if !of_package.iter().any(|(_, all)| all.contains(&fingerprint.as_str())) {
                let advice = format!(
                    "Add the fingerprint {fingerprint} to {package}: that of the key that Google Play signs with, not of the upload key."
                );
                self.error(Code::GoogleFingerprintMissing, url, advice, package.as_str());
            }
        }
        let others: BTreeSet<(&str, &str)> = apps
            .iter()
            .flat_map(|(package, all)| all.iter().map(|fingerprint| (*package, *fingerprint)))
            .filter(|(package, fingerprint)| is_package(package) && is_fingerprint(fingerprint))
            .filter(|(package, fingerprint)| {
                !expected.android_apps.iter().any(|(name, one)| name == package && one == fingerprint)
            })
            .collect();
        for (package, fingerprint) in others.into_iter().filter(|_| expected.complete) {
            let advice = format!(
                "Register the fingerprint {fingerprint} of {package} with UpdateApp, or take it out of the file: no app of the workspace has it."
            );
            self.warning(Code::GoogleAppUnregistered, url, advice, package);
        }
    }
}
