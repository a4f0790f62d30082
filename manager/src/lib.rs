//! The capability manager: policy in, grants out, everything logged.
