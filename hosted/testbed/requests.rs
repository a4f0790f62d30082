//! The components of `portcullis_requests`, tied to their processes.

use std::convert::Infallible;

use portcullis_hosted::pd::parameter::CHANNEL;
use portcullis_hosted::{Environment, Program};
use portcullis_kernel::serve;
use portcullis_requests::{Asker, Helper};

pub(crate) fn program(name: &str) -> Option<Program> {
    Some(match name {
        "asker" => asker,
        "helper" => helper,
        _ => return None,
    })
}

fn channel(environment: &Environment) -> u8 {
    let id = environment.parameter(CHANNEL);
    id.expect("the system description gives it one") as u8
}

fn asker(mut environment: Environment) -> Infallible {
    let mut asker = Asker::new(channel(&environment));
    serve(&mut environment.kernel, &mut asker)
}

fn helper(mut environment: Environment) -> Infallible {
    let mut helper = Helper::new(channel(&environment));
    serve(&mut environment.kernel, &mut helper)
}
