//! Every corpus, and every seed cut short or with a bit changed, goes through its decoder.

use std::fs;
use std::path::Path;

use portcullis_fuzz::DECODERS;

#[test]
fn every_corpus_is_decoded() {
    for (name, decode) in DECODERS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("corpus")
            .join(name);
        let seeds: Vec<_> = fs::read_dir(&folder)
            .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
            .map(|entry| fs::read(entry.unwrap().path()).unwrap())
            .collect();
        assert!(!seeds.is_empty(), "{name} has no seed");
        for seed in &seeds {
            decode(seed);
            // At most some 60 places a seed: the large ones are for the fuzzer.
            for at in (0..seed.len()).step_by(1 + seed.len() / 60) {
                decode(&seed[..at]);
                let mut changed = seed.clone();
                changed[at] ^= 1 << (at % 8);
                decode(&changed);
            }
        }
    }
}
