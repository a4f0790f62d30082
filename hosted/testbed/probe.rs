//! The attacker and the holder of leases of `portcullis_probe`, with their servers, as processes.

use std::convert::Infallible;

use portcullis_hosted::pd::parameter::CHANNEL;
use portcullis_hosted::{Clocks, Environment, Program};
use portcullis_kernel::serve;
use portcullis_probe::{Holder, Lessor, Observer, Probe, Target};

pub(crate) fn program(name: &str) -> Option<Program> {
    Some(match name {
        "probe" => probe,
        "target" => target,
        "holder" => holder,
        "observer" => observer,
        "lessor" => lessor,
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

fn holder(mut environment: Environment) -> Infallible {
    let seen = environment.region("lateness");
    let mut holder = Holder::new(channel(&environment), seen);
    serve(&mut environment.kernel, &mut holder)
}

fn observer(mut environment: Environment) -> Infallible {
    let page = environment.region("lease_deadline");
    let seen = environment.region_mut("lateness");
    // A component's sandbox has no timer that it could stop.
    let mut observer = Observer::new(Clocks, page, seen, || ());
    serve(&mut environment.kernel, &mut observer)
}

fn lessor(mut environment: Environment) -> Infallible {
    serve(&mut environment.kernel, &mut Lessor)
}
