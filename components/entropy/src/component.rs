//! The component: the seed of the boot first, requests after it.

use portcullis_kernel::{Caller, Component, Mapping, Message, Method, Syscalls, label};
use zeroize::Zeroizing;

use crate::api::{self, RANDOM, RANDOM_MAX};
use crate::generator::{Fault, Generator, Source};
use crate::seed::{self, SEED};

/// The component's memory regions, by their names in the system description.
#[derive(Debug)]
pub struct Regions<M: Mapping> {
    /// The page with the seed of this boot.
    pub boot_seed: M::ReadWrite,
}

/// The source of randomness. It makes no system call: it holds no grant and has no channel.
#[derive(Debug)]
pub struct Entropy<S, M: Mapping> {
    generator: Generator<S>,
    regions: Regions<M>,
}

impl<S: Source, M: Mapping> Entropy<S, M> {
    /// The component on this source.
    pub fn new(source: S, regions: Regions<M>) -> Self {
        let generator = Generator::new(source);
        Self { generator, regions }
    }

    fn random(&mut self, message: &mut Message) {
        let Some(bytes) = api::read_request(message) else {
            return message.refuse(label::BAD_REQUEST);
        };
        let mut random = Zeroizing::new([0; RANDOM_MAX]);
        match self.generator.fill(&mut random[..bytes]) {
            Ok(()) => api::reply(message, &random[..bytes]),
            Err(Fault::Silent) => message.refuse(api::SILENT),
            Err(Fault::Unhealthy(_)) => message.refuse(api::UNHEALTHY),
        }
    }
}

impl<K: Syscalls, S: Source, M: Mapping> Component<K> for Entropy<S, M> {
    fn init(&mut self, _: &mut K) {
        let mut seed = [0; SEED];
        let filled = self.generator.fill(&mut seed).map(|()| seed);
        // A page that is too small stays empty: its reader finds that nobody wrote a seed.
        let _ = seed::write(&mut self.regions.boot_seed, filled);
    }

    fn call(&mut self, _: &mut K, caller: Caller, method: Method, message: &mut Message) {
        match (caller, method) {
            (Caller::Grant(_), RANDOM) => self.random(message),
            // Nothing is served on a static channel: no policy line would stand behind it.
            _ => message.refuse(label::BAD_METHOD),
        }
    }
}
