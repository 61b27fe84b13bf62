// Package containers holds no code: its tests run compose.yaml and the image in a container engine, as
// users do. They need Linux, a Docker engine, Compose 2, and TIDEMARK_CONTAINERS=1; without that they are
// skipped. `.ci/compose` sets up all of it on Debian.
//
// The script engine provides what a machine lacks: dockerd, Compose, and stand-ins for the images that
// compose.yaml and the Dockerfile name where no registry can be reached. images_test.go holds that each
// image has a stand-in, or a reason why there is none.
//
// The image of Tidemark is the last stage of the Dockerfile around a command that is built on this machine.
// With TIDEMARK_CONTAINERS=full it is what `docker compose build` makes, which compiles everything in a
// container, each container is killed and revived, and the profiles are run that have images. TestChaos makes
// random changes for as long as TIDEMARK_CHAOS_DURATION says.
//
// A project of its own (name, ports, network) is brought up for the tests, and taken down with its volumes.
package containers
