// Package containers contains tests of compose.yaml and of the image in a container engine, and no code. They need Linux,
// a Docker engine, Compose 2, and TIDEMARK_CONTAINERS=1; otherwise they are skipped. `.ci/compose` sets up all of it on
// Debian.
//
// The script engine provides what a machine lacks: dockerd, Compose, and, if no registry can be reached, stand-ins for the
// images that compose.yaml and the Dockerfile name. images_test.go checks that each image has a stand-in, or a reason
// why there is none.
//
// The image of Tidemark is the last stage of the Dockerfile around a command that is built on this machine. With
// TIDEMARK_CONTAINERS=full it is the result of `docker compose build`, which compiles in a container; each container is
// killed and restarted, and all profiles with images are run. TestChaos makes random changes for
// TIDEMARK_CHAOS_DURATION.
//
// The tests start a project of their own (name, ports, network), and remove it with its volumes.
package containers
