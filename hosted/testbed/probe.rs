//! The attacker of `portcullis_probe` and its server, tied to their processes.

use std::convert::Infallible;

use portcullis_hosted::pd::parameter::CHANNEL;
use portcullis_hosted::{Environment, Program};
use portcullis_kernel::serve;
use portcullis_probe::{Probe, Target};

pub(crate) fn program(name: &str) -> Option<Program> {
    Some(match name {
        "probe" => probe,
        "target" => target,
        _ => return None,
    })
}

fn channel(environment: &Environment) -> u8 {
    let id = environment.parameter(CHANNEL);
    id.expect("the system description gives it one") as u8
}

fn probe(mut environment: Environment) -> Infallible {
    let mut probe = Probe::new(channel(&environment));
    serve(&mut environment.kernel, &mut probe)
}

fn target(mut environment: Environment) -> Infallible {
    let mut target = Target::new(channel(&environment), None);
    serve(&mut environment.kernel, &mut target)
}
