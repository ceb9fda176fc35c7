#include "engine/planted.h"

enum planted_bug planted_bug;
