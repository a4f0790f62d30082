//! The policy language: parser, checks, ceiling, compiler.
