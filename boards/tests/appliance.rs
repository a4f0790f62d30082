//! The reference appliance on the boards.

mod common;

use portcullis_boards::{Board, watch};

use common::Case;

#[test]
#[ignore = "needs a Microkit SDK"]
fn aarch64() {
    documents_come_through(Board::Aarch64);
}

#[test]
#[ignore = "needs a Microkit SDK"]
fn riscv64() {
    documents_come_through(Board::Riscv64);
}

fn documents_come_through(board: Board) {
    let case = Case::appliance(board, "through");
    let through = watch(&mut case.boot(), |_| ()).unwrap();
    assert_eq!(through.failure(), None);
    assert_eq!(
        through.ingest,
        "ingest: 8 documents: 8 stored, 0 unchanged, 0 refused"
    );
    assert_eq!(through.edge, "edge: 3 objects listed, 0 damaged, 0 lost");
    assert_eq!(through.publish, "publish: 3 objects published, 863 B");
}
