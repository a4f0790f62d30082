//! The component on the model kernel: the boot's seed, and the interface `entropy`.

use chacha20::ChaCha20Rng;
use chacha20::rand_core::{Rng as _, SeedableRng as _};
use portcullis_entropy::api::{self, RANDOM, RANDOM_MAX};
use portcullis_entropy::seed::{self, NoSeed};
use portcullis_entropy::{Entropy, Regions, Silent, Source};
use portcullis_kernel::{
    CallGrant, Generation, GrantBadge, Message, Method, MethodSet, Refusal, label,
};
use portcullis_model::testing::{Direct, Machine, SharedRegion};

/// How a source behaves.
enum Noise {
    Good(Box<ChaCha20Rng>),
    Stuck,
    Absent,
}

impl Noise {
    fn good(seed: u8) -> Self {
        Self::Good(Box::new(ChaCha20Rng::from_seed([seed; 32])))
    }
}

impl Source for Noise {
    fn read(&mut self, samples: &mut [u8]) -> Result<(), Silent> {
        match self {
            Self::Good(rng) => rng.fill_bytes(samples),
            Self::Stuck => samples.fill(1),
            Self::Absent => return Err(Silent),
        }
        Ok(())
    }
}

struct Boot {
    page: SharedRegion,
    kernel: Direct,
    grant: CallGrant,
    _machine: Machine,
}

/// The component on a source, and a client of it.
fn boot(source: Noise) -> Boot {
    let machine = Machine::new();
    let [entropy, client] = [210, 100].map(|priority| machine.protection_domain(priority));
    let methods = MethodSet::EMPTY.with(RANDOM);
    let badge = GrantBadge::new(1, Generation::default(), methods).unwrap();
    let grant = machine.call_grant(&client, 1, &entropy, badge);
    let page = SharedRegion::new(4096);
    let regions = Regions::<Direct> {
        boot_seed: page.clone(),
    };
    machine.start(entropy.thread, Entropy::new(source, regions));
    machine.run();
    Boot {
        page,
        kernel: machine.direct(client.thread),
        grant,
        _machine: machine,
    }
}

fn random(boot: &mut Boot, bytes: usize) -> Result<Vec<u8>, Refusal> {
    let mut random = vec![0; bytes];
    api::random(&mut boot.kernel, boot.grant, &mut random).map(|()| random)
}

#[test]
fn every_boot_has_a_seed_of_its_own() {
    let seeds = [1, 1, 2].map(|seed| seed::read(&boot(Noise::good(seed)).page.read_only()));
    assert!(seeds[0].is_ok());
    assert_eq!(seeds[0], seeds[1], "it comes from the source alone");
    assert_ne!(seeds[0], seeds[2]);
}

#[test]
fn a_page_that_nobody_wrote_or_that_is_not_there_has_no_seed() {
    for size in [0, 4, 4096] {
        assert_eq!(
            seed::read(&SharedRegion::new(size)),
            Err(NoSeed::Unwritten),
            "{size}"
        );
    }
    // That it has a seed which does not fit it.
    let short = SharedRegion::with(&[1, 0, 0, 0, 0, 0, 0, 0, 9, 9]);
    assert_eq!(seed::read(&short), Err(NoSeed::Unwritten));
}

#[test]
fn without_a_good_source_there_is_no_seed_and_no_byte() {
    for (source, why, code) in [
        (Noise::Absent, NoSeed::Silent, api::SILENT),
        (Noise::Stuck, NoSeed::Unhealthy, api::UNHEALTHY),
    ] {
        let mut boot = boot(source);
        assert_eq!(seed::read(&boot.page), Err(why));
        assert_eq!(boot.page.bytes()[8..], [0; 4088]);
        assert_eq!(random(&mut boot, 16), Err(Refusal::Object(code)));
    }
}

#[test]
fn a_call_gives_as_many_bytes_as_were_asked_for() {
    let mut boot = boot(Noise::good(3));
    let seed = seed::read(&boot.page).unwrap();
    for bytes in [1, 7, 8, 9, 64, RANDOM_MAX] {
        let [one, other] = [(); 2].map(|()| random(&mut boot, bytes).unwrap());
        assert_eq!(one.len(), bytes);
        if bytes >= 8 {
            assert_ne!(one, other);
            assert!(!one.starts_with(&seed[..8]));
            assert!(one.iter().any(|byte| *byte != 0));
        }
    }
}

#[test]
fn what_is_no_request_is_refused() {
    let mut boot = boot(Noise::good(4));
    for words in [
        &[][..],
        &[0],
        &[RANDOM_MAX as u64 + 1],
        &[u64::MAX],
        &[8, 8],
    ] {
        let mut message = Message::request(RANDOM, words);
        let refused = boot.grant.call(&mut boot.kernel, RANDOM, &mut message);
        assert_eq!(
            refused,
            Err(Refusal::Object(label::BAD_REQUEST)),
            "{words:?}"
        );
    }
    let other = Method::new(1).unwrap();
    let mut message = Message::request(other, &[8]);
    let refused = boot.grant.call(&mut boot.kernel, other, &mut message);
    assert_eq!(refused, Err(Refusal::Object(label::BAD_METHOD)));
}
