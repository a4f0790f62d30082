//! An executable specification of the seL4 objects that Portcullis uses.
