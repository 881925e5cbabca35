//! What the contract promises, as a list that a change has to be put into by hand: no field moves or goes by accident.

use std::{collections::BTreeSet, fmt::Write as _, fs};

use linkforty::pb;
use prost::Message as _;
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FileDescriptorSet,
    field_descriptor_proto::{Label, Type},
};

use crate::support::variable;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/api.snapshot.txt");

#[test]
fn the_contract_is_the_one_that_was_agreed_on() {
    let now = describe();
    if variable("UPDATE_SNAPSHOT").as_deref() == Some("1") {
        fs::write(FILE, now).expect("the snapshot can be written");
        return;
    }
    let agreed = fs::read_to_string(FILE).unwrap_or_default();
    let (before, after): (BTreeSet<&str>, BTreeSet<&str>) = (agreed.lines().collect(), now.lines().collect());
    let mut changes = String::new();
    for line in before.symmetric_difference(&after) {
        let sign = if before.contains(line) { '-' } else { '+' };
        writeln!(changes, "{sign} {line}").expect("a text grows");
    }
    assert!(
        agreed == now,
        "the contract has changed:\n\n{changes}\nA line with - is a promise broken to clients that exist (`buf breaking` has the \
         rules). If it is meant:\n    UPDATE_SNAPSHOT=1 cargo test --features failpoints --test it api::"
    );
}

/// One line for each thing, by its full name, so that a line says everything by itself.
fn describe() -> String {
    let files = FileDescriptorSet::decode(pb::DESCRIPTORS).expect("descriptors").file;
    let mut lines = Vec::new();
    for file in files.iter().filter(|file| is_public(file.package())) {
        let package = file.package();
        for service in &file.service {
            for method in &service.method {
                let stream = |streams: bool| if streams { "stream " } else { "" };
                lines.push(format!(
                    "rpc {package}.{}.{}({}{}) returns ({}{})",
                    service.name(),
                    method.name(),
                    stream(method.client_streaming()),
                    short(method.input_type()),
                    stream(method.server_streaming()),
                    short(method.output_type()),
                ));
            }
        }
        for message in &file.message_type {
            describe_message(package, message, &mut lines);
        }
        for one in &file.enum_type {
            describe_enum(package, one, &mut lines);
        }
    }
    lines.sort();
    lines.push(String::new());
    lines.join("\n")
}

/// What linkforty says to itself and what Google defines may change without notice.
fn is_public(package: &str) -> bool {
    package.starts_with("linkforty.") && !package.starts_with("linkforty.internal.")
}

fn describe_message(scope: &str, message: &DescriptorProto, lines: &mut Vec<String>) {
    let name = format!("{scope}.{}", message.name());
    lines.push(format!("message {name}"));
    for field in &message.field {
        let label = match field.label() {
            Label::Repeated => "repeated ",
            _ if field.proto3_optional() => "optional ",
            _ => "",
        };
        let of = match field.r#type() {
            Type::Message | Type::Enum => short(field.type_name()),
            scalar => scalar.as_str_name().trim_start_matches("TYPE_").to_lowercase(),
        };
        let choice = field
            .oneof_index
            .filter(|_| !field.proto3_optional())
            .and_then(|index| message.oneof_decl.get(usize::try_from(index).ok()?))
            .map(|choice| format!(" in {}", choice.name()))
            .unwrap_or_default();
        lines.push(format!("field {name}.{} = {} {label}{of}{choice}", field.name(), field.number()));
    }
    for range in &message.reserved_range {
        lines.push(format!("reserved {name} {} to {}", range.start(), range.end() - 1));
    }
    for inner in &message.nested_type {
        describe_message(&name, inner, lines);
    }
    for inner in &message.enum_type {
        describe_enum(&name, inner, lines);
    }
}

fn describe_enum(scope: &str, one: &EnumDescriptorProto, lines: &mut Vec<String>) {
    for value in &one.value {
        lines.push(format!("value {scope}.{}.{} = {}", one.name(), value.name(), value.number()));
    }
}

fn short(name: &str) -> String {
    name.trim_start_matches('.').to_owned()
}
