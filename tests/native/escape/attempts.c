/* The attempts of the probe, as a part of the plugin. */
#include "../../jail/probe.c"
