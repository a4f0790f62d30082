//! What the tests of every platform share: the appliance with what asks for grants, and what its log says of it.

use std::fs;
use std::path::{Path, PathBuf};

use portcullis_audit::state::State;
use portcullis_log::block::LogKind;
use portcullis_log::{Cause, GrantFields, Operation, Record};
use portcullis_policy_format::Policy;

/// The grant log after the boot's seal, a line a record: what it says beside when and by which line. Ids
/// count from there.
pub(crate) fn told(state: &Path) -> String {
    let compiled = fs::read(state.join("appliance.policy")).unwrap();
    let policy = Policy::inspect(&compiled).unwrap();
    let name = |number| policy.component_at(number).unwrap().name;
    let state = State::open(state).unwrap();
    let mut all: Vec<Record> = Vec::new();
    let verified = state.verify_with(LogKind::Grants, &mut all, |_| ());
    let verified = verified.unwrap();
    assert!(verified.holds, "{:#?}", verified.findings);
    let seal = all.iter().position(|it| it.operation == Operation::Seal);
    let (boot, rest) = all.split_at(seal.unwrap() + 1);
    let before = boot
        .iter()
        .filter(|it| it.operation == Operation::Mint)
        .count() as u64;
    let line = |it: &Record| {
        let Cause::Request { by, .. } = it.cause else {
            panic!("nobody asked for it: {it:?}");
        };
        let grant = it.grant.map_or_else(String::new, |it| {
            let (id, parent) = (it.id.checked_sub(before), it.parent.map(|id| id - before));
            let GrantFields {
                generation, grant, ..
            } = it;
            let [subject, object] = [grant.subject, grant.object].map(name);
            let methods = grant.methods;
            format!("{id:?} {subject} {object} {methods:?} {generation:?} from {parent:?}")
        });
        format!(
            "{:?} [{grant}] {} {:?}\n",
            it.operation,
            name(by.component),
            it.outcome
        )
    };
    rest.iter().map(line).collect()
}

fn root() -> &'static Path {
    // Of whichever crate's test this is a part.
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// A file of the appliance with what this test adds to it.
pub(crate) fn with_more(to: &Path, name: &str) -> PathBuf {
    let read = |path: PathBuf| fs::read_to_string(path).unwrap();
    let added = read(root().join("components/requests").join(name));
    let text = match name {
        "system.xml" => read(root().join(name)).replace("</system>", &format!("{added}</system>")),
        _ => read(root().join("policy/appliance.toml")) + &added,
    };
    let path = to.join(name);
    fs::write(&path, text).unwrap();
    path
}
