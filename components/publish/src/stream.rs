//! The one-way stream: frames in a ring that is overwritten without back-pressure.
