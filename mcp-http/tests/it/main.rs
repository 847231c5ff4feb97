//! Tests of the shell from outside, over real sockets.

mod rmcp;
