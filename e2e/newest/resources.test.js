import * as sdk from "@workos-inc/node";
import { resourceSuite } from "../clients/resources.js";

resourceSuite(sdk, "11.0");
