//! Reads Microkit system descriptions, with the position of everything in them.
