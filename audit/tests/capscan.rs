//! What live slots are held against: a log that holds, and a policy that is a plain file.

use std::fs;
use std::path::Path;

use portcullis_audit::capscan::{LogError, Scan, compare_with_log, logged};
use portcullis_audit::state::State;
use portcullis_audit::testing::{LOG, blocks, boot, encoded, policy, write_sample, write_state};
use portcullis_fsck::{FINDINGS_MAX, Severity, Verdict};
use portcullis_log::block::LogKind;
use portcullis_log::{BootId, Cause, Operation, Record};
use rustix::fs::{CWD, FileType, Mode};

const POLICY: &str = "appliance.policy";

fn compared(state: &Path) -> Result<usize, LogError> {
    let scan = Scan::default();
    compare_with_log(&scan, state).map(|it| it.differences.len())
}

#[test]
fn the_policy_in_force_is_read_from_a_plain_file_of_bounded_length() {
    let scratch = tempfile::tempdir().unwrap();
    let (state, path) = (scratch.path(), scratch.path().join(POLICY));
    write_sample(state);
    assert!(matches!(compared(state), Err(LogError::Policy { .. })));
    // What waits for a writer that does not come would not end.
    rustix::fs::mknodat(CWD, &path, FileType::Fifo, Mode::RUSR, 0).unwrap();
    assert!(matches!(compared(state), Err(LogError::Policy { .. })));
    fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("policies/sample.policy", &path).unwrap();
    assert!(matches!(compared(state), Err(LogError::Policy { .. })));
    fs::remove_file(&path).unwrap();
    fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
    assert!(matches!(compared(state), Err(LogError::Policy { .. })));
    fs::write(&path, "no policy").unwrap();
    assert!(matches!(compared(state), Err(LogError::NotAPolicy { .. })));
    fs::write(&path, policy()).unwrap();
    assert!(compared(state).unwrap() > 0, "no slot holds anything");
    fs::remove_file(state.join("disk.img")).unwrap();
    assert!(matches!(compared(state), Err(LogError::State(_))));
}

/// More notes than are listed do not hide that a log does not hold.
#[test]
fn a_violation_behind_a_thousand_notes_decides() {
    let scratch = tempfile::tempdir().unwrap();
    let first = boot(1)[0];
    let history = |sequence| Record {
        sequence,
        boot: BootId([9; 16]),
        policy: 0,
        operation: Operation::History,
        grant: None,
        cause: Cause::Leaves {
            disk: LOG,
            log: LogKind::Worm,
            size: 1,
            root: [0; 32],
        },
        ..first
    };
    let mut records: Vec<_> = (0..=FINDINGS_MAX as u64).map(history).collect();
    let honest = records.len();
    // Its number is not the one after the last.
    records.push(history(5));
    for (count, verdict) in [(honest, Verdict::Holds), (honest + 1, Verdict::DoesNotHold)] {
        let (grants, _) = blocks(LogKind::Grants, &[encoded(&records[..count])]);
        write_state(scratch.path(), &grants, &[], &[]);
        let state = State::open(scratch.path()).unwrap();
        let report = state.verify(LogKind::Grants, |_| ()).unwrap();
        assert_eq!(report.verdict, verdict);
        assert!(report.more_findings > 0);
        let found = |severity| report.findings.iter().any(|it| it.severity == severity);
        assert_eq!(found(Severity::Violation), verdict == Verdict::DoesNotHold);
        assert_eq!(logged(scratch.path()).is_ok(), verdict == Verdict::Holds);
    }
}

/// What is read again goes on from what was verified, or does not hold.
#[test]
fn a_log_that_is_another_when_it_is_read_again_does_not_hold() {
    let scratch = tempfile::tempdir().unwrap();
    write_sample(scratch.path());
    // Nothing else says what it was.
    fs::remove_file(scratch.path().join("worm.checkpoint")).unwrap();
    let mut state = State::open(scratch.path()).unwrap();
    let report = state.verify(LogKind::Worm, |_| ()).unwrap();
    let note = state.note(LogKind::Worm, &report.summary).unwrap();
    state.add_read(LogKind::Worm, note.unwrap());
    let again = |state: &State| {
        let (_, findings) = state.read(LogKind::Worm, &mut (), |_| ()).unwrap();
        findings.verdict()
    };
    assert_eq!(again(&state), Verdict::Holds);
    let entries = [b"one", b"two", b"six"].map(|it| it.to_vec());
    let (other, _) = blocks(LogKind::Worm, &[entries.to_vec()]);
    write_state(scratch.path(), &[], &other, &[]);
    assert_eq!(again(&state), Verdict::DoesNotHold);
}
