// Package repo decides what a stream of packages should consist of and makes a bucket serve it.
//
// Whatever is done to a stream — a cut, a new signature, later a rollback or a repair — takes the same way. A [Publisher]
// reads the stream's [State], works out the [Contents] that it should have, and makes a [Plan]: the complete list of
// objects that differ, as a value that can be printed and compared. Executing that very value is the only thing in this
// program that changes a bucket.
//
// # How a publication becomes live
//
// Clients read a stream through pointers, objects with fixed names such as InRelease. All else is immutable. A plan is
// executed in this order, and stops at the first error:
//
//  1. Package files, then hashed metadata, then the manifest are created under names that nothing refers to yet.
//  2. HEAD is replaced, if it still has the generation that the plan was made from. This is the commit. When somebody
//     else was faster, a [*RaceError] is returned and nothing that clients see has moved.
//  3. Each pointer is overwritten, in the order of the manifest, if it still has the generation that was read before
//     the commit. When it has not, its generation and HEAD are read again, in this order: as long as HEAD is ours, the
//     write is tried again, and otherwise somebody newer is responsible for the pointers.
//
// Why this is safe with any number of publishers: a pointer is only written on the condition of a generation that was
// read before a moment at which HEAD was known to be the writer's own. A publisher that commits later reads the
// generations later still, so either its own write comes after this one, or it has been there before and the condition
// fails.
//
// A run that dies after the commit leaves pointers behind that are older than HEAD, and which still form a consistent
// repository. The next run, of anything, finds that the last pointer differs from the manifest and projects the pointers
// again before it does its own work; since the manifest holds their signed bytes, that needs no key.
//
// # What the signer signs
//
// A publisher never signs bytes that it was given. It verifies the signatures on the live index, reads every new package
// file itself, merges the two, runs the gates, and signs the index that it derived from that.
package repo
