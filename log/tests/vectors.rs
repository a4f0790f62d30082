//! The committed vectors are what the code makes: a difference is a change of a format.

#[path = "../examples/vectors.rs"]
#[allow(dead_code, reason = "main is the example's")]
mod example;

#[test]
fn the_committed_vectors_are_made_by_this_code() {
    let committed: serde_json::Value =
        serde_json::from_str(include_str!("../vectors/log.json")).unwrap();
    assert_eq!(example::vectors(), committed);
}
